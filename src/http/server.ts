// The HTTP API put together: callers, metrics, routes and sockets. Gives back what the daemon starts and stops.

import type { Clock } from "../clock.ts";
import type { Config } from "../config/config.ts";
import type { Log } from "../log.ts";
import type { Database } from "../store/database.ts";
import type { SyncRunner } from "../sync/sync-runner.ts";
import type { MfaPolicy } from "../users/policy.ts";
import { createAuthorize } from "./caller-auth.ts";
import { createListeners, type HttpLimits, type HttpServer } from "./listeners.ts";
import type { Metrics } from "./metrics.ts";
import { addAdminAuditRoutes } from "./routes/admin-audit-routes.ts";
import { addAdminSyncRoutes } from "./routes/admin-sync-routes.ts";
import { addAdminUserRoutes } from "./routes/admin-user-routes.ts";
import { addOpenRoutes } from "./routes/open-routes.ts";

export interface HttpDeps {
  config: Pick<Config, "http" | "directories">;
  db: Database;
  log: Log;
  clock: Clock;
  metrics: Metrics;
  policy: MfaPolicy;
  runner: SyncRunner;
  limits?: Partial<HttpLimits>;
}

/** Builds the server; nothing listens yet. Throws for a configuration that cannot work. */
export async function createHttpServer(deps: HttpDeps): Promise<HttpServer> {
  const { config, db, log, clock, metrics } = deps;
  const { directories, http } = config;
  return createListeners({
    config: http,
    log,
    metrics,
    authorize: createAuthorize(http.callers, clock),
    ...(deps.limits ? { limits: deps.limits } : {}),
    addRoutes(app) {
      addOpenRoutes(app, { db, directories, metrics, metricsHere: http.metricsListen === undefined });
      addAdminUserRoutes(app, { db, policy: deps.policy });
      addAdminSyncRoutes(app, { db, directories, runner: deps.runner });
      addAdminAuditRoutes(app, { db });
    },
  });
}
