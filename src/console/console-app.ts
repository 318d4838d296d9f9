// The console's application: forms and nothing else as bodies, the headers of every page, all routes, and what is said when
// something fails. Lets nobody in; that is site.ts and sign-in-routes.ts alone.

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import { type FastifyRequest, fastify, LogController } from "fastify";
import { answerInTime } from "../http/answer-in-time.ts";
import type { App } from "../http/app-type.ts";
import { problemKinds, problemOf } from "../http/problems.ts";
import { newRequestId } from "../request-id.ts";
import { addAuditRoutes } from "./audit-routes.ts";
import { addConfigurationRoutes } from "./configuration-routes.ts";
import type { ConsoleDeps } from "./deps.ts";
import { addDirectoryRoutes } from "./directory-routes.ts";
import { addEnrollmentRoutes } from "./enrollment-routes.ts";
import { addNoticeRoutes } from "./notice-routes.ts";
import { badRequestPage, notFoundPage, unavailablePage } from "./refusal-pages.ts";
import { Sessions } from "./sessions.ts";
import { addSettingsRoutes } from "./settings-routes.ts";
import { addSignInRoutes, type SignInLimits } from "./sign-in-routes.ts";
import { type ConsoleRoute, createSite } from "./site.ts";
import { styleSheet } from "./style.ts";
import { addUserRoutes } from "./user-routes.ts";

export type CreateServer = (
  onRequest: (request: IncomingMessage, response: ServerResponse) => void,
) => Server;

/** A form has a name, a password, a code or twenty. */
const bodyBytes = 8 * 1024;
/** As the API; a sign-in waits for the directory within it. */
const answerMs = 14_500;

const headers = {
  // No scripts at all: whatever might get into a page, it does not run. No frames: nobody clicks here unknowingly.
  "content-security-policy":
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "x-frame-options": "DENY",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store", // pages show secrets and backup codes
  // With no-referrer browsers would not say where a form comes from either.
  "referrer-policy": "same-origin",
  "x-content-type-options": "nosniff",
};

export async function createConsoleApp(
  deps: ConsoleDeps,
  limits: SignInLimits,
  createServer: CreateServer,
): Promise<{ app: App; routes: readonly ConsoleRoute[] }> {
  const { config, verification } = deps;
  const app: App = fastify({
    serverFactory: (onRequest) => createServer(onRequest),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyBytes,
    genReqId: () => newRequestId(),
    return503OnClosing: false,
    routerOptions: { maxParamLength: 64 },
  }).withTypeProvider<TypeBoxTypeProvider>();
  answerInTime(app, answerMs);
  app.removeAllContentTypeParsers(); // forms and nothing else
  app.addContentTypeParser(
    "application/x-www-form-urlencoded",
    { parseAs: "string" },
    async (_: FastifyRequest, body: string) => new URLSearchParams(body),
  );
  app.addHook("onRequest", async (request, reply) => {
    reply.headers({ ...headers, "x-request-id": request.id });
    if (config.console.cookieSecure) reply.header("strict-transport-security", "max-age=31536000");
  });
  app.setErrorHandler((error, request, reply) => {
    const { code, retryAfterSeconds } = problemOf(error);
    const facts = { requestId: request.id, method: request.method, route: request.routeOptions.url };
    if (code === "internal") verification.log.error({ err: error, ...facts }, "console: request failed");
    if (code === "unavailable")
      verification.log.warn({ err: error, ...facts }, "console: request could not be answered");
    const { status } = problemKinds[code];
    if (retryAfterSeconds !== undefined) reply.header("retry-after", String(retryAfterSeconds));
    const page = status >= 500 || status === 429 ? unavailablePage() : badRequestPage();
    return reply.code(status).type("text/html; charset=utf-8").send(page.text);
  });
  app.setNotFoundHandler((_, reply) =>
    reply.code(404).type("text/html; charset=utf-8").send(notFoundPage().text),
  );

  const { db, directories, randomBytes } = verification;
  const sessions = new Sessions({ db, directories, randomBytes, config: config.console });
  const isTls = config.console.tls !== undefined;
  const site = createSite(app, sessions, config.console.publicOrigin, isTls);
  app.get("/style.css", async (_, reply) =>
    reply.header("cache-control", "max-age=300").type("text/css; charset=utf-8").send(styleSheet),
  );
  addSignInRoutes(site, deps, limits);
  addSettingsRoutes(site, deps);
  addUserRoutes(site, deps);
  addEnrollmentRoutes(site, deps);
  addDirectoryRoutes(site, deps);
  addAuditRoutes(site, deps);
  addNoticeRoutes(site, deps);
  addConfigurationRoutes(site, deps);
  site.get("/", "signed-in", async ({ session }) => ({
    goTo: session.roles.length > 0 ? "/users" : "/settings",
  }));
  await app.ready();
  return { app, routes: site.routes };
}
