// The fastify application: what holds for every request before and after its route. Knows no address and no socket
// (listeners.ts), and no flow (routes/).

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import { Ajv } from "ajv";
import { type FastifyRequest, fastify, LogController } from "fastify";
import type { Log } from "../log.ts";
import type { UserName } from "../verification/answers.ts";
import { answerInTime } from "./answer-in-time.ts";
import type { App } from "./app-type.ts";
import { answerBrokenRequest } from "./broken-request.ts";
import type { Authorize } from "./caller-auth.ts";
import { parseJsonBody } from "./json-body.ts";
import { logRefusal } from "./log-refusal.ts";
import type { Metrics } from "./metrics.ts";
import { registerOpenApi } from "./openapi.ts";
import { noteMethods } from "./other-methods.ts";
import { markAnswer, ProblemAnswer, problemOf, sendProblem } from "./problems.ts";
import { requestIdOf } from "./request-id.ts";
import { shedLoad } from "./shed-load.ts";

export interface AppLimits {
  /** The largest body of the API is a username of 1,024 characters and a code; 16 KiB leaves room for escapes. */
  bodyBytes: number;
  /** Longest time from the headers to the answer; the login page's user is gone by then. */
  answerMs: number;
  /** Beyond them a request is refused at once. */
  requestsAtOnce: number;
}

export interface AppDeps {
  log: Log;
  authorize: Authorize;
  metrics: Metrics;
  limits: AppLimits;
  /** True while the server drains: answers then ask for the connection to be closed. */
  isDraining(): boolean;
  createServer(onRequest: (request: IncomingMessage, response: ServerResponse) => void): Server;
}

/** An application without routes. Add them with `addRoutes` before `ready`. */
export async function createApp(deps: AppDeps, addRoutes: (app: App) => void): Promise<App> {
  const app: App = fastify({
    serverFactory: (onRequest) =>
      deps.createServer(shedLoad(onRequest, { most: deps.limits.requestsAtOnce, metrics: deps.metrics })),
    // Our own lines instead of fastify's: those would carry the URL, and with it the query.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: deps.limits.bodyBytes,
    genReqId: (request) => requestIdOf(request.headers["x-request-id"]),
    // Requests on connections that are open already are still answered while the server drains.
    return503OnClosing: false,
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, request, reply) => sendProblem(request, reply, problemOf(error)),
    routerOptions: { maxParamLength: 64 }, // a UUID has 36 characters
  }).withTypeProvider<TypeBoxTypeProvider>();

  app.decorateRequest("caller", null);
  answerInTime(app, deps.limits.answerMs);
  acceptJsonAlone(app);
  checkRequests(app);
  answerErrors(app, deps.log);
  watchRequests(app, deps);
  const answerOtherMethods = noteMethods(app);
  await registerOpenApi(app);
  addRoutes(app);
  answerOtherMethods();
  await app.ready();
  return app;
}

function acceptJsonAlone(app: App): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    "application/json",
    { parseAs: "buffer" },
    async (_request: FastifyRequest, body: Buffer) => parseJsonBody(body),
  );
}

/** Bodies are taken as they are; of a query, only numbers and booleans are read from text. Nothing is dropped or filled in. */
function checkRequests(app: App): void {
  const options = {
    removeAdditional: false,
    useDefaults: false,
    allErrors: false,
    strict: true,
    // `required` may name fields that an inner schema describes, as where one of two fields must be given.
    strictRequired: false,
    allowUnionTypes: true,
    // Findings then carry their part of the schema, for the answer to name the fields of which only one may be given.
    verbose: true,
  } as const;
  const exact = new Ajv({ ...options, coerceTypes: false });
  // 1e400 is read as infinite, of which ajv otherwise checks no minimum and no maximum.
  const fromText = new Ajv({ ...options, coerceTypes: true, strictNumbers: false });
  app.setValidatorCompiler(({ schema, httpPart }) =>
    // fastify hands on the schema of the route untyped.
    (httpPart === "querystring" ? fromText : exact).compile(schema as object),
  );
}

function answerErrors(app: App, log: Log): void {
  app.setErrorHandler((error, request, reply) => {
    const problem = problemOf(error);
    if (problem.code === "internal") log.error({ err: error, ...factsOf(request) }, "request failed");
    if (problem.code === "unavailable")
      log.warn({ ...reasonOf(error), ...factsOf(request) }, "request could not be answered");
    logRefusal(log, request, factsOf(request), problem.code);
    return sendProblem(request, reply, problem);
  });
  app.setNotFoundHandler((request, reply) => sendProblem(request, reply, { code: "not-found" }));
}

/** An answer that a route gave has its reason in one sentence; anything else is told as an error, with its stack. */
function reasonOf(error: unknown): { detail: string | undefined } | { err: unknown } {
  const isAnswer = error instanceof ProblemAnswer && error.cause === undefined;
  return isAnswer ? { detail: error.problem.detail } : { err: error };
}

function watchRequests(app: App, deps: AppDeps): void {
  // With callbacks, since a promise a hook would be a good part of what a request costs. What a hook throws is answered all the same.
  app.addHook("onRequest", (request, reply, done) => {
    markAnswer(request, reply);
    if (request.is404) return done();
    const { scope, isEnrollment } = request.routeOptions.config;
    if (scope === undefined) throw new Error("the route names no scope");
    if (scope !== "open") request.caller = deps.authorize(request.headers.authorization, [scope].flat());
    if (isEnrollment && !request.caller?.mayEnroll) {
      const detail = "The call is only for callers that check the user's password (checksPassword).";
      throw new ProblemAnswer({ code: "forbidden", detail });
    }
    done();
  });
  // Once the body is read, which says whom the call is about.
  app.addHook("preValidation", ({ caller, body }, _reply, done) => {
    caller?.takeTurn(userNamedIn(body));
    done();
  });
  app.addHook("onSend", (_request, reply, payload, done) => {
    if (deps.isDraining()) reply.header("connection", "close");
    done(null, payload);
  });
  app.addHook("onResponse", (request, reply, done) => {
    const seconds = reply.elapsedTime / 1000;
    deps.metrics.observeRequest(request.method, routeOf(request), reply.statusCode, seconds);
    if (reply.statusCode < 400 && request.routeOptions.config.isChange) {
      deps.log.info({ ...factsOf(request), ...userIdOf(request) }, "change made");
    }
    deps.log.debug(
      { ...factsOf(request), status: reply.statusCode, ms: Math.round(reply.elapsedTime) },
      "request",
    );
    done();
  });
}

/** Of the admin's calls, whose address has it. */
function userIdOf({ params, routeOptions }: FastifyRequest): { userId?: string } {
  // Parameters that the route's schema has checked.
  const { id } = params as { id?: string };
  return id !== undefined && routeOptions.url?.startsWith("/v1/admin/users/") ? { userId: id } : {};
}

/** Whom a body that is not checked yet is about. */
function userNamedIn(body: unknown): UserName | undefined {
  if (typeof body !== "object" || body === null || !("username" in body)) return undefined;
  const { username } = body;
  if (typeof username !== "string") return undefined;
  return "directory" in body && typeof body.directory === "string"
    ? { username, directory: body.directory }
    : { username };
}

/** What of a request may be logged: never a body, a header or a query. */
function factsOf(request: FastifyRequest) {
  return {
    requestId: request.id,
    method: request.method,
    route: routeOf(request),
    caller: request.caller?.name ?? null,
  };
}

function routeOf(request: FastifyRequest): string {
  return request.is404 ? "unknown" : (request.routeOptions.url ?? "unknown");
}
