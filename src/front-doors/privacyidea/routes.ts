// The routes of the privacyIDEA protocol, under /privacyidea, where the configuration gives a caller that protocol. Its clients
// read the envelope and not the status, so an answer is 200 even when it rejects; what is asked wrongly has a status of 400 or
// more (rule 23), in the same envelope.

import type { FastifyReply, FastifyRequest } from "fastify";
import type { App } from "../../http/app-type.ts";
import { logRefusal } from "../../http/log-refusal.ts";
import { ProblemAnswer, problemKinds, problemOf } from "../../http/problems.ts";
import { roleToken } from "../credential.ts";
import { type DoorRoutesDeps, openDoor } from "../door.ts";
import { checkCode, deferEnrollment } from "./check-code.ts";
import { type Envelope, errorCodes, failed, pollPending, tokenGiven } from "./envelope.ts";
import { type Parameters, readParameters, readQuery } from "./parameters.ts";

/** Adds nothing unless a caller has this protocol. */
export function addPrivacyIdeaRoutes(app: App, deps: DoorRoutesDeps): void {
  const enter = openDoor(deps, "privacyidea");
  if (!enter) return;

  // A separate context: its body readers and its errors are not those of the API.
  app.register(async (door) => {
    door.removeAllContentTypeParsers();
    door.addContentTypeParser("*", { parseAs: "buffer" }, async (_: FastifyRequest, body: Buffer) => body);
    door.setErrorHandler((error, _request, reply) => sendProblem(deps, reply, error));

    const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> =>
      send(reply, await answerTo(request));

    const answerTo = async (request: FastifyRequest): Promise<Envelope> => {
      const caller = enter(request);
      const given = await parametersOf(request);
      const transactionId = textOf(given, "transaction_id") ?? textOf(given, "state");
      const name = { username: needed(given, "user"), directory: textOf(given, "realm") };
      caller.takeTurn(name);
      if (isTrue(given.get("cancel_enrollment")))
        return deferEnrollment(deps, { caller, name, transactionId });
      const { waiting: signal } = request;
      return checkCode(deps, { caller, name, passAsTyped: needed(given, "pass"), transactionId, signal });
    };

    const trigger = async (request: FastifyRequest, reply: FastifyReply) => {
      const caller = enter(request);
      const given = await parametersOf(request);
      const name = { username: needed(given, "user"), directory: textOf(given, "realm") };
      caller.takeTurn(name);
      const asked = { caller, name, passAsTyped: "", transactionId: undefined, signal: request.waiting };
      return send(reply, await checkCode(deps, asked));
    };

    const giveToken = async (request: FastifyRequest, reply: FastifyReply) => {
      const given = await parametersOf(request);
      const token = needed(given, "password");
      const caller = enter(request, token);
      caller.takeTurn(undefined);
      const now = deps.clock.now();
      return send(reply, tokenGiven(now, roleToken(token, caller.name, now), caller.name));
    };

    const poll = async (request: FastifyRequest, reply: FastifyReply) => {
      enter(request).takeTurn(undefined);
      return send(reply, pollPending(deps.clock.now()));
    };

    const options = { schema: { hide: true }, config: { scope: "open" } } as const;
    for (const root of ["/privacyidea", "/privacyidea/:token"]) {
      door.post(`${root}/validate/check`, options, answer);
      door.post(`${root}/validate/triggerchallenge`, options, trigger);
      door.get(`${root}/validate/polltransaction`, options, poll);
      door.post(`${root}/auth`, options, giveToken);
    }
    door.all("/privacyidea/*", options, async (_request, reply) => {
      return send(
        reply.code(404),
        failed(deps.clock.now(), errorCodes.notOffered, "dirmfa does not offer this."),
      );
    });
  });
}

function send(reply: FastifyReply, envelope: Envelope): FastifyReply {
  // An error of the protocol goes with the status that privacyIDEA's own server gives it.
  if (reply.statusCode === 200 && envelope.result.status === false) reply.code(400);
  return reply.type("application/json").send(JSON.stringify(envelope));
}

async function parametersOf(request: FastifyRequest): Promise<Parameters> {
  const userAgent = request.headers["user-agent"] ?? "";
  const given =
    request.method === "GET"
      ? readQuery(request.raw.url?.split("?")[1] ?? "", userAgent)
      : await readParameters(bodyOf(request), request.headers["content-type"] ?? "", userAgent);
  if (!given) throw new ProblemAnswer({ code: "invalid-request" });
  return given;
}

function bodyOf({ body }: FastifyRequest): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0);
}

function needed(given: Parameters, name: string): string {
  const value = given.get(name);
  if (value === undefined)
    throw new ProblemAnswer({ code: "invalid-request", detail: `Missing parameter: ${name}` });
  return value;
}

/** Undefined for a parameter that is missing or empty, as several clients send those that are not configured. */
function textOf(given: Parameters, name: string): string | undefined {
  return given.get(name) || undefined;
}

function isTrue(value: string | undefined): boolean {
  return value !== undefined && /^(true|1|yes)$/i.test(value);
}

function sendProblem(deps: DoorRoutesDeps, reply: FastifyReply, error: unknown): FastifyReply {
  const problem = problemOf(error);
  if (problem.code === "internal")
    deps.log.error({ err: error, requestId: reply.request.id }, "request failed");
  const { request } = reply;
  const facts = {
    requestId: request.id,
    method: request.method,
    route: request.routeOptions.url ?? "unknown",
  };
  if (problem.code === "unavailable")
    deps.log.warn({ err: error, ...facts }, "request could not be answered");
  logRefusal(deps.log, request, facts, problem.code);
  if (problem.retryAfterSeconds !== undefined) reply.header("retry-after", String(problem.retryAfterSeconds));
  const kind = problemKinds[problem.code];
  reply.code(kind.status);
  return send(reply, failed(deps.clock.now(), errorCodeOf(problem.code), problem.detail ?? kind.title));
}

function errorCodeOf(code: string): number {
  switch (code) {
    case "unauthorized":
      return errorCodes.credentialsMissing;
    case "forbidden":
      return errorCodes.wrongCredentials;
    case "rate-limited":
      return errorCodes.tooMany;
    case "unavailable":
      return errorCodes.unavailable;
    case "internal":
      return errorCodes.internal;
    default:
      return errorCodes.parameterMissing;
  }
}
