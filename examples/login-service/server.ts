// The login service put together: forms, headers, style, routes, and what is said when dirmfa or the directory gives no
// answer. Lets nobody in by itself; that is sign-in.ts alone.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type FastifyInstance, type FastifyRequest, fastify, LogController } from "fastify";
import { type Client, DirmfaClientError } from "../../src/client/client.ts";
import type { Applications } from "./applications.ts";
import { addForwardAuth } from "./forward-auth.ts";
import { addMfaRoutes } from "./mfa.ts";
import { deniedPage, lockedOutPage, notFoundPage, outdatedPage, unavailablePage } from "./pages.ts";
import type { CheckPassword } from "./password.ts";
import { Sessions } from "./sessions.ts";
import { addSignInRoutes } from "./sign-in.ts";
import { createSite, send } from "./site.ts";

export interface LoginServiceDeps {
  /** Where browsers find it. */
  publicUrl: URL;
  applications: Applications;
  dirmfa: Client;
  /** Needed where dirmfa knows more than one. */
  directory: string | undefined;
  checkPassword: CheckPassword;
}

export function createLoginService(deps: LoginServiceDeps): FastifyInstance {
  const app = fastify({
    bodyLimit: 8 * 1024, // a form has a name, a password or a code
    logger: { level: "warn" },
    logController: new LogController({ disableRequestLogging: true }),
  });
  app.removeAllContentTypeParsers(); // forms and nothing else
  app.addContentTypeParser(
    "application/x-www-form-urlencoded",
    { parseAs: "string" },
    async (_: FastifyRequest, body: string) => new URLSearchParams(body),
  );
  const headers = securityHeaders(deps.applications);
  app.addHook("onRequest", async (_, reply) => void reply.headers(headers));

  const https = deps.publicUrl.protocol === "https:";
  const sessions = new Sessions({ https, cookieDomain: deps.applications.cookieDomain });
  answerErrors(app, sessions);
  const site = createSite(app, { ...deps, sessions });
  addSignInRoutes(site, deps);
  addMfaRoutes(site, deps);
  addForwardAuth(app, { ...deps, sessions, nameOf: site.nameOf });
  const style = readFileSync(join(import.meta.dirname, "style.css"));
  app.get("/style.css", async (_, reply) => reply.type("text/css").send(style));
  return app;
}

const securityHeaders = ({ origins }: Applications) => ({
  // No scripts at all: whatever might get into a page, it does not run. Browsers hold form-action against the redirect after
  // a form as well, which leads to an application.
  "content-security-policy": `default-src 'none'; style-src 'self'; img-src data:; form-action ${["'self'", ...origins].join(" ")}; base-uri 'none'; frame-ancestors 'none'`,
  "cache-control": "no-store", // pages show secrets and backup codes
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
});

// Nothing here lets anybody in: what gave no answer is a page that says so.
function answerErrors(app: FastifyInstance, sessions: Sessions): void {
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const { status, page, isOver } = refusalOf(error, request);
    const visit = sessions.find(request.headers.cookie);
    if (isOver && visit) sessions.end(visit);
    return send(reply.code(status), page);
  });
  app.setNotFoundHandler((_, reply) => send(reply.code(404), notFoundPage()));
}

function refusalOf(error: Error & { statusCode?: number }, request: FastifyRequest) {
  if (error instanceof DirmfaClientError) {
    if (error.code === "locked-out") return { status: 429, page: lockedOutPage(error.lockedUntil) };
    // Disabled or removed in the directory since the password was checked.
    if (["user-unknown", "user-not-active"].includes(error.code)) {
      return { status: 403, page: deniedPage(), isOver: true };
    }
    // Somebody was faster, in another window or at the help desk.
    if (error.status === 409) return { status: 409, page: outdatedPage() };
    request.log.warn({ code: error.code, requestId: error.requestId }, "dirmfa gave no answer");
  } else if (error.statusCode !== undefined && error.statusCode < 500) {
    return { status: error.statusCode, page: outdatedPage() };
  } else {
    request.log.error({ reason: error.message }, "request failed");
  }
  return { status: 503, page: unavailablePage() };
}
