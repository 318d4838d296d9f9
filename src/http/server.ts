// The HTTP API put together: callers, metrics, routes and sockets. Gives back what the daemon starts and stops.

import type { Config } from "../config/config.ts";
import { addPrivacyIdeaRoutes } from "../front-doors/privacyidea/routes.ts";
import type { SyncRunner } from "../sync/sync-runner.ts";
import type { VerificationDeps } from "../verification/deps.ts";
import { createAuthorize } from "./caller-auth.ts";
import { createListeners, type HttpLimits, type HttpServer } from "./listeners.ts";
import type { Metrics } from "./metrics.ts";
import { addAdminAuditRoutes } from "./routes/admin-audit-routes.ts";
import { addAdminSyncRoutes } from "./routes/admin-sync-routes.ts";
import { addAdminUserRoutes } from "./routes/admin-user-routes.ts";
import { addLoginRoutes } from "./routes/login-routes.ts";
import { addOpenRoutes } from "./routes/open-routes.ts";

export interface HttpDeps {
  config: Pick<Config, "http" | "directories">;
  verification: VerificationDeps;
  runner: SyncRunner;
  metrics: Metrics;
  limits?: Partial<HttpLimits>;
}

/** Builds the server; nothing listens yet. Throws for a configuration that cannot work. */
export async function createHttpServer(deps: HttpDeps): Promise<HttpServer> {
  const { verification, runner, metrics } = deps;
  const { directories, http } = deps.config;
  const { db, log, clock } = verification;
  const authorize = createAuthorize(http.callers, clock);
  return createListeners({
    config: http,
    log,
    metrics,
    authorize,
    ...(deps.limits ? { limits: deps.limits } : {}),
    addRoutes(app) {
      addOpenRoutes(app, { db, directories, metrics, metricsHere: http.metricsListen === undefined });
      addLoginRoutes(app, { ...verification, metrics });
      addAdminUserRoutes(app, verification);
      addAdminSyncRoutes(app, { db, directories, runner });
      addAdminAuditRoutes(app, { db });
      addPrivacyIdeaRoutes(app, { ...verification, metrics, authorize, callers: http.callers });
    },
  });
}
