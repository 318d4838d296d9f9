// Starts the HTTP API for tests: on a separate port, over a database, with callers whose tokens the test knows.

import { createHash } from "node:crypto";
import { connect } from "node:net";
import { Ajv } from "ajv";
import type { Static, TSchema } from "typebox";
import { type Clock, systemClock } from "../../src/clock.ts";
import type { CallerConfig, HttpConfig, Scope } from "../../src/config/config.ts";
import type { App } from "../../src/http/app-type.ts";
import { createAuthorize } from "../../src/http/caller-auth.ts";
import type { HttpLimits, HttpServer } from "../../src/http/listeners.ts";
import { createListeners } from "../../src/http/listeners.ts";
import { createMetrics } from "../../src/http/metrics.ts";
import { createKeptLog, noteToken } from "./kept-logs.ts";

export const tokens = {
  login: "login-token-0123456789abcdef0123456789abcdef",
  admin: "admin-token-0123456789abcdef0123456789abcdef",
  metrics: "metrics-token-0123456789abcdef0123456789abcdef",
  "help-desk": "help-desk-token-0123456789abcdef0123456789abcdef",
  audit: "audit-token-0123456789abcdef0123456789abcdef",
  every: "every-token-0123456789abcdef0123456789abcdef",
} as const;

export function callerOf(
  name: string,
  token: string,
  scopes: Scope[],
  requestsPerSecond = 100_000,
  requestsPerSecondPerUser = 100_000,
): CallerConfig {
  noteToken(token);
  return {
    name,
    tokenSha256: sha256Of(token),
    furtherTokensSha256: [],
    scopes,
    requestsPerSecond,
    requestsPerSecondPerUser,
    protocol: "api",
    checksPassword: false,
    learnsUnknown: false,
  };
}

export function sha256Of(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

export const callers: CallerConfig[] = [
  callerOf("login-service", tokens.login, ["login"]),
  callerOf("help-desk", tokens.admin, ["admin"]),
  callerOf("prometheus", tokens.metrics, ["metrics"]),
  callerOf("service-desk", tokens["help-desk"], ["help-desk"]),
  callerOf("auditor", tokens.audit, ["audit"]),
  callerOf("everything", tokens.every, ["login", "admin", "metrics"]),
];

export function httpConfigOf(changes: Partial<HttpConfig> = {}): HttpConfig {
  return {
    listen: { kind: "tcp", host: "127.0.0.1", port: 0 },
    metricsListen: undefined,
    tls: undefined,
    callers,
    ...changes,
  };
}

export interface TestListeners {
  server: HttpServer;
  url: string;
  metricsUrl: string | undefined;
  lines: string[];
}

/** Sockets, limits and callers with the routes that the test brings: for what holds whatever the route does. */
export async function startListeners(options: {
  addRoutes?: (app: App) => void;
  config?: Partial<HttpConfig>;
  limits?: Partial<HttpLimits>;
  clock?: Clock;
}): Promise<TestListeners> {
  const config = httpConfigOf(options.config);
  const { log, lines } = createKeptLog();
  const server = await createListeners({
    config,
    log,
    authorize: createAuthorize(config.callers, options.clock ?? systemClock),
    metrics: createMetrics(async () => []),
    limits: options.limits ?? {},
    addRoutes: options.addRoutes ?? (() => {}),
  });
  const addresses = await server.listen();
  return { server, url: addresses.main, metricsUrl: addresses.metrics, lines };
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  /** The body read as JSON; undefined when it is none. */
  json: unknown;
}

/** One call with a JSON body, if there is one. */
export async function call(
  url: string,
  request: {
    method?: string;
    token?: string;
    body?: unknown;
    rawBody?: string | Uint8Array;
    headers?: Record<string, string>;
  } = {},
): Promise<Answer> {
  const body = request.rawBody ?? (request.body === undefined ? undefined : JSON.stringify(request.body));
  const response = await fetch(url, {
    method: request.method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      ...(request.token === undefined ? {} : { authorization: `Bearer ${request.token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...request.headers,
    },
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: jsonOf(text) };
}

/** An answer's body, which must be of the schema that describes it, and typed by it. */
export function readAs<T extends TSchema>(schema: T, answer: Answer): Static<T> {
  const check = new Ajv({ strict: false, formats: { "date-time": true } }).compile<Static<T>>(schema);
  const { json } = answer;
  if (!check(json)) throw new Error(`${answer.status}, ${JSON.stringify(check.errors)}: ${answer.text}`);
  return json;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Writes bytes to the server and gives back all that it answers until it closes, or until `forMs` have passed. */
export function sendBytes(url: string, bytes: string | Buffer, forMs: number): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    let answer = "";
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(end, forMs);
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
    });
    socket.on("end", end);
    socket.on("error", end);
  });
}
