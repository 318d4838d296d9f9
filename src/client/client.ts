// A client of the login scope for login services: fetch, no dependency. Fails closed: every call gives back what the API
// promised or throws, so that a network error, a time-out or a strange answer can never read as "allowed".

import type { Static } from "typebox";
import type { ProblemCode } from "../http/problems.ts";
import type * as schemas from "../http/routes/login-schemas.ts";
import { type Answer, type Send, sendByFetch, sendBySocket } from "./send.ts";

export type SignIn = Static<typeof schemas.SignInAnswer>;
export type Verified = Static<typeof schemas.VerifyAnswer>;
export type Status = Static<typeof schemas.StatusAnswer>;
export type Enrollment = Static<typeof schemas.EnrollmentAnswer>;
export type BackupCodes = Static<typeof schemas.BackupCodesAnswer>;
export type UserRequest = Static<typeof schemas.UserRequest>;
export type TotpRequest = Static<typeof schemas.TotpRequest>;
export type BeginEnrollmentRequest = Static<typeof schemas.BeginEnrollmentRequest>;
export type VerifyRequest = UserRequest & ({ totp: string } | { backupCode: string });

export interface ClientOptions {
  /** Where dirmfa listens: `https://mfa.example.org`, or `unix:/run/dirmfa/dirmfa.sock` (node only). */
  baseUrl: string;
  /** Bearer token of a caller with the scope `login`. */
  token: string;
  /** How long one call may take, the answer's body included. 5 seconds unless given. */
  timeoutMs?: number;
  /** Instead of the global one, for an own CA, a client certificate or a proxy. Must reject what it cannot fetch. */
  fetch?: typeof fetch;
}

/** Goes out with a call; the audit log and dirmfa's own log name it. */
export interface CallOptions {
  /** 8 to 64 characters of A-Z, a-z, 0-9, dot, dash and underscore. */
  requestId?: string;
  signal?: AbortSignal;
}

export interface Client {
  /** What is asked of the user now. Anything but `decision: "allow"` needs more, or is a refusal. */
  signIn(request: UserRequest, options?: CallOptions): Promise<SignIn>;
  /** Resolves only for a code that was right, and which is spent now. Throws for every other one. */
  verify(request: VerifyRequest, options?: CallOptions): Promise<Verified>;
  status(request: UserRequest, options?: CallOptions): Promise<Status>;
  beginEnrollment(request: BeginEnrollmentRequest, options?: CallOptions): Promise<Enrollment>;
  confirmEnrollment(request: TotpRequest, options?: CallOptions): Promise<BackupCodes>;
  disableMfa(request: TotpRequest, options?: CallOptions): Promise<void>;
  regenerateBackupCodes(request: TotpRequest, options?: CallOptions): Promise<BackupCodes>;
}

/**
 * Why a call gave no answer: a problem code of the API, or what kept one from coming. `unexpected-answer` is a status or a
 * shape that the API does not have.
 */
export type DirmfaErrorCode = ProblemCode | "network" | "timeout" | "unexpected-answer";

export class DirmfaClientError extends Error {
  override readonly name = "DirmfaClientError";
  readonly code: DirmfaErrorCode;
  /** Undefined where no answer came. */
  readonly status: number | undefined;
  readonly requestId: string | undefined;
  /** For `locked-out`, `rate-limited` and `unavailable`. */
  readonly retryAfterSeconds: number | undefined;
  /** For `locked-out`. */
  readonly lockedUntil: Date | undefined;

  constructor(code: DirmfaErrorCode, facts: ErrorFacts = {}) {
    super(`dirmfa: ${code}`, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.status = facts.status;
    this.requestId = facts.requestId;
    this.retryAfterSeconds = facts.retryAfterSeconds;
    this.lockedUntil = facts.lockedUntil;
  }
}

interface ErrorFacts {
  status?: number | undefined;
  requestId?: string | undefined;
  retryAfterSeconds?: number | undefined;
  lockedUntil?: Date | undefined;
  cause?: unknown;
}

/** A user waits at the login page; most calls take milliseconds. */
const defaultTimeoutMs = 5_000;

export function createClient(options: ClientOptions): Client {
  const post = createPost(options);
  return {
    signIn: (request, call) => post("/v1/sign-in", request, 200, isSignIn, call),
    verify: (request, call) => post("/v1/verify", request, 200, isVerified, call),
    status: (request, call) => post("/v1/status", request, 200, isStatus, call),
    beginEnrollment: (request, call) => post("/v1/enrollment", request, 201, isEnrollment, call),
    confirmEnrollment: (request, call) => post("/v1/enrollment/confirm", request, 200, isBackupCodes, call),
    disableMfa: (request, call) => post("/v1/enrollment/disable", request, 204, isNothing, call),
    regenerateBackupCodes: (request, call) =>
      post("/v1/backup-codes/regenerate", request, 200, isBackupCodes, call),
  };
}

type Post = <T>(
  path: string,
  body: object,
  wantedStatus: number,
  isWanted: (body: unknown) => body is T,
  call: CallOptions | undefined,
) => Promise<T>;

function createPost({
  baseUrl,
  token,
  timeoutMs = defaultTimeoutMs,
  fetch: givenFetch,
}: ClientOptions): Post {
  const socketPath = baseUrl.startsWith("unix:") ? baseUrl.slice("unix:".length) : undefined;
  const base = socketPath === undefined ? baseUrl.replace(/\/+$/, "") : "http://localhost";
  const send: Send = socketPath === undefined ? sendByFetch(givenFetch ?? fetch) : sendBySocket(socketPath);

  return async (path, body, wantedStatus, isWanted, call = {}) => {
    const timeout = AbortSignal.timeout(timeoutMs);
    let answer: Answer;
    try {
      answer = await send(`${base}${path}`, {
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          ...(call.requestId === undefined ? {} : { "x-request-id": call.requestId }),
        },
        body: JSON.stringify(body),
        signal: call.signal ? AbortSignal.any([timeout, call.signal]) : timeout,
      });
    } catch (cause) {
      if (call.signal?.aborted) throw cause;
      throw new DirmfaClientError(timeout.aborted ? "timeout" : "network", { cause });
    }
    const content = wantedStatus === 204 && answer.text === "" ? undefined : jsonOf(answer.text);
    if (answer.status === wantedStatus && isWanted(content)) return content;
    throw errorOf(answer, content);
  };
}

function errorOf({ status, requestId, retryAfter }: Answer, content: unknown): DirmfaClientError {
  const facts = { status, requestId };
  if (status < 400 || !isObject(content) || typeof content.code !== "string") {
    return new DirmfaClientError("unexpected-answer", facts);
  }
  const lockedUntil = typeof content.lockedUntil === "string" ? new Date(content.lockedUntil) : undefined;
  const retryAfterSeconds = /^\d{1,9}$/.test(retryAfter ?? "") ? Number(retryAfter) : undefined;
  // A newer dirmfa may know codes that these types do not; it stays an error whatever it says.
  return new DirmfaClientError(content.code as DirmfaErrorCode, { ...facts, lockedUntil, retryAfterSeconds });
}

// Checked by hand, and no more than a login service decides by: this file has no dependencies.

const decisions: readonly unknown[] = ["allow", "challenge", "enroll", "deny"];

function isSignIn(body: unknown): body is SignIn {
  return (
    isObject(body) &&
    decisions.includes(body.decision) &&
    (body.user === null ? body.decision === "deny" : isUser(body.user)) &&
    Array.isArray(body.reasons) &&
    Array.isArray(body.methods)
  );
}

function isVerified(body: unknown): body is Verified {
  return isObject(body) && body.verified === true && typeof body.method === "string" && isUser(body.user);
}

function isStatus(body: unknown): body is Status {
  return (
    isObject(body) &&
    isUser(body.user) &&
    ["enrolled", "required", "mayDisable"].every((field) => typeof body[field] === "boolean")
  );
}

function isEnrollment(body: unknown): body is Enrollment {
  return (
    isObject(body) &&
    ["secret", "uri", "qrSvg", "qrPng", "expiresAt"].every((field) => typeof body[field] === "string")
  );
}

function isBackupCodes(body: unknown): body is BackupCodes {
  return (
    isObject(body) &&
    Array.isArray(body.backupCodes) &&
    body.backupCodes.every((code) => typeof code === "string")
  );
}

function isNothing(body: unknown): body is undefined {
  return body === undefined;
}

function isUser(value: unknown): boolean {
  return isObject(value) && typeof value.id === "string" && typeof value.username === "string";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
