// Problem details (RFC 9457): the only mapping from what went wrong to a status and a code. Never repeats the text of an
// unknown error, nor a value that a caller sent.

import type { FastifyReply, FastifyRequest } from "fastify";
import { AppError, type ErrorCode } from "../errors.ts";
import { isDatabaseUnavailable } from "../store/database-errors.ts";
import { describeFinding, type Finding } from "./describe-finding.ts";

/** Every code with its status and its title. What is not listed here cannot be answered. */
export const problemKinds = {
  "invalid-request": { status: 400, title: "The request is not valid" },
  unauthorized: { status: 401, title: "A valid bearer token is needed" },
  forbidden: { status: 403, title: "This caller may not make this call" },
  "user-not-active": { status: 403, title: "The user may not sign in" },
  "code-rejected": { status: 403, title: "The code is not valid" },
  "enrollment-pass-required": { status: 403, title: "An enrollment pass is needed" },
  "user-unknown": { status: 404, title: "There is no such user" },
  "directory-unknown": { status: 404, title: "There is no such directory" },
  "not-found": { status: 404, title: "There is nothing at this address" },
  "method-not-allowed": { status: 405, title: "This address does not know this method" },
  "request-timeout": { status: 408, title: "The request took too long to arrive" },
  "not-enrolled": { status: 409, title: "The user has no authenticator" },
  "already-enrolled": { status: 409, title: "The user has an authenticator already" },
  "enrollment-expired": { status: 409, title: "There is no enrollment to confirm" },
  "mfa-required": { status: 409, title: "MFA is required for this user" },
  "username-ambiguous": { status: 409, title: "The username lives in more than one directory" },
  "run-in-progress": { status: 409, title: "A sync run of this directory is under way" },
  "run-not-held": { status: 409, title: "The sync run is not held" },
  "too-many-users": { status: 409, title: "More users fit than the call allows for" },
  "request-too-large": { status: 413, title: "The body is too large" },
  "unsupported-media-type": { status: 415, title: "The body must be application/json" },
  "locked-out": { status: 429, title: "Too many failed codes" },
  "rate-limited": { status: 429, title: "Too many requests" },
  "headers-too-large": { status: 431, title: "The headers are too large" },
  internal: { status: 500, title: "Something is broken" },
  unavailable: { status: 503, title: "The request cannot be answered now" },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemCode = keyof typeof problemKinds;

export interface Problem {
  code: ProblemCode;
  /** One sentence for the developer of the caller. Never a value from the request. */
  detail?: string;
  /** Goes out as Retry-After. */
  retryAfterSeconds?: number;
  /** Further members of the problem document. */
  members?: Readonly<Record<string, string | readonly string[]>>;
}

/**
 * How a route answers with a problem: thrown after its flow has returned, and so after its counters and audit events
 * are committed.
 */
export class ProblemAnswer extends Error {
  override readonly name = "ProblemAnswer";
  readonly problem: Problem;

  constructor(problem: Problem, options: { cause?: unknown } = {}) {
    super(problem.code, options);
    this.problem = problem;
  }
}

/** A database that is restarting is back within seconds, and a caller's retry should not have to wait longer. */
const unavailableRetrySeconds = 2;

/** For a request whose time is over. */
export function lateAnswer(): ProblemAnswer {
  return new ProblemAnswer({
    code: "unavailable",
    detail: "No answer in time.",
    retryAfterSeconds: unavailableRetrySeconds,
  });
}

/** As long as anyone stands in line at the backup codes (verification/backup-code-hash.ts). */
const busyRetrySeconds = 3;

const askedWrongly = new Map<ErrorCode, ProblemCode>([
  ["invalid-request", "invalid-request"],
  ["unauthorized", "unauthorized"],
  ["forbidden", "forbidden"],
  ["rate-limited", "rate-limited"],
  ["not-found", "not-found"],
  ["user-unknown", "user-unknown"],
  ["username-ambiguous", "username-ambiguous"],
  ["directory-unknown", "directory-unknown"],
  ["run-in-progress", "run-in-progress"],
  ["run-not-held", "run-not-held"],
]);

const away = new Set<ErrorCode>([
  "database-unavailable",
  "database-locked",
  "aborted",
  "lease-lost",
  // Another replica may have it.
  "key-missing",
  "key-wrong",
]);

/** What of anything thrown may be answered. An unknown error is `internal`, and nothing of its text goes out. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ProblemAnswer) return error.problem;
  if (error instanceof AppError) {
    const code = askedWrongly.get(error.code);
    if (code === "rate-limited") return { code, retryAfterSeconds: busyRetrySeconds };
    if (code) return { code, detail: error.message };
    if (away.has(error.code)) return { code: "unavailable", retryAfterSeconds: unavailableRetrySeconds };
    return { code: "internal" };
  }
  if (isCutBody(error)) return { code: "invalid-request" };
  if (isRetryable(error)) return { code: "unavailable", retryAfterSeconds: unavailableRetrySeconds };
  return problemOfFramework(error) ?? { code: "internal" };
}

// The caller went away in the middle of its body: the code is that of a lost database, the status is fastify's.
function isCutBody(error: unknown): boolean {
  return (
    error instanceof Error && "statusCode" in error && error.statusCode === 400 && !("validation" in error)
  );
}

// A deadlock or a serialization failure (SQLSTATE class 40): the transaction was rolled back and may be tried again.
function isRetryable(error: unknown): boolean {
  if (isDatabaseUnavailable(error)) return true;
  return error instanceof Error && "code" in error && /^40[0-9A-Z]{3}$/.test(String(error.code));
}

function problemOfFramework(error: unknown): Problem | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  if ("validation" in error && "validationContext" in error) {
    // What ajv found, as fastify passes it on.
    const findings = error.validation as Finding[];
    const { detail, field } = describeFinding(findings, String(error.validationContext));
    return { code: "invalid-request", detail, ...(field === "" ? {} : { members: { field } }) };
  }
  if (error.code === "FST_ERR_CTP_BODY_TOO_LARGE") return { code: "request-too-large" };
  if (error.code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") return { code: "unsupported-media-type" };
  if (error.code === "FST_ERR_NOT_FOUND") return { code: "not-found" };
  const isClientError =
    "statusCode" in error && typeof error.statusCode === "number" && error.statusCode < 500;
  if (error.code.startsWith("FST_ERR_") && isClientError) return { code: "invalid-request" };
  return undefined;
}

/** The document of a problem, as JSON. */
export function problemBody(problem: Problem, requestId: string): string {
  const kind = problemKinds[problem.code];
  return JSON.stringify({
    type: `urn:dirmfa:problem:${problem.code}`,
    title: kind.title,
    status: kind.status,
    ...(problem.detail === undefined ? {} : { detail: problem.detail }),
    code: problem.code,
    requestId,
    ...problem.members,
  });
}

/** What every answer carries. Answers hold secrets and codes, and are nobody's to keep. */
export function markAnswer(request: FastifyRequest, reply: FastifyReply): void {
  reply.headers({
    "x-request-id": request.id,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
}

/** Answers with a problem. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Problem): FastifyReply {
  if (problem.retryAfterSeconds !== undefined) reply.header("retry-after", String(problem.retryAfterSeconds));
  if (problem.code === "unauthorized") reply.header("www-authenticate", 'Bearer realm="dirmfa"');
  markAnswer(request, reply);
  return reply
    .code(problemKinds[problem.code].status)
    .type("application/problem+json")
    .send(problemBody(problem, request.id));
}
