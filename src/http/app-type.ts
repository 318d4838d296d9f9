// The application as routes see it, and what a route says about itself in its `config`. Types only.

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyBaseLogger, FastifyInstance } from "fastify";
import type { Scope } from "../config/config.ts";
import type { Caller } from "./caller-auth.ts";
import type { ProblemCode } from "./problems.ts";

export type App = FastifyInstance<
  Server,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

declare module "fastify" {
  interface FastifyContextConfig {
    /** Who may call, any one of several; every route says it, and one that forgets is refused to everybody. */
    scope?: Scope | readonly Scope[] | "open";
    /** It begins, changes or ends an enrollment, or shows what signs in: only for callers that may (caller-auth.ts). */
    isEnrollment?: true;
    /** It changes something: told in the log when it did. */
    isChange?: true;
    /** It answers with CSV as well, where that is asked for; for the API description. */
    alsoCsv?: true;
    /** Codes that the route can answer beside those of every route; for the API description. */
    problems?: readonly ProblemCode[];
  }
  interface FastifyRequest {
    /** Null until a token was accepted. */
    caller: Caller | null;
    /** Aborted when nobody waits for the answer any more. For flows, which then grant nothing. */
    waiting: AbortSignal;
  }
}
