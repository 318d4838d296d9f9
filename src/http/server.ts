// The HTTP API put together: callers, metrics, routes and sockets. Gives back what the daemon starts and stops.

import type { Config } from "../config/config.ts";
import { addLemonldapRoutes } from "../front-doors/lemonldap.ts";
import { addPrivacyIdeaRoutes } from "../front-doors/privacyidea/routes.ts";
import type { OnDemand } from "../sync/on-demand.ts";
import type { SyncRunner } from "../sync/sync-runner.ts";
import type { VerificationDeps } from "../verification/deps.ts";
import type { App } from "./app-type.ts";
import { createAuthorize } from "./caller-auth.ts";
import { type Application, createListeners, type HttpLimits, type HttpServer } from "./listeners.ts";
import type { Metrics } from "./metrics.ts";
import { addAdminAuditRoutes } from "./routes/admin-audit-routes.ts";
import { addAdminManyUsersRoutes } from "./routes/admin-many-users-routes.ts";
import { addAdminNoticeRoutes } from "./routes/admin-notice-routes.ts";
import { type AdminOverviewDeps, addAdminOverviewRoutes } from "./routes/admin-overview-routes.ts";
import { addAdminSyncRoutes } from "./routes/admin-sync-routes.ts";
import { addAdminUserRoutes } from "./routes/admin-user-routes.ts";
import { addLoginRoutes } from "./routes/login-routes.ts";
import { addOpenRoutes } from "./routes/open-routes.ts";
import { addRefreshUserRoute } from "./routes/refresh-user-route.ts";

export interface HttpDeps {
  config: Config;
  verification: VerificationDeps;
  runner: SyncRunner;
  onDemand: Pick<OnDemand, "refresh">;
  metrics: Metrics;
  overview: Pick<AdminOverviewDeps, "measureAudit" | "nextRunOf">;
  limits?: Partial<HttpLimits>;
}

/** Builds the server; nothing listens yet. Throws for a configuration that cannot work. */
export async function createHttpServer(deps: HttpDeps): Promise<HttpServer> {
  return createListeners({
    ...createApplication(deps),
    config: deps.config.http,
    log: deps.verification.log,
    metrics: deps.metrics,
    ...(deps.limits ? { limits: deps.limits } : {}),
  });
}

/** What answers requests under this configuration. */
export function createApplication(deps: Omit<HttpDeps, "limits">): Application {
  const { http } = deps.config;
  const authorize = createAuthorize(http.callers, deps.verification.clock);
  return {
    authorize,
    tls: http.tls,
    addRoutes(app) {
      addApiRoutes(app, deps);
      const doors = { ...deps.verification, metrics: deps.metrics, authorize, callers: http.callers };
      addPrivacyIdeaRoutes(app, doors);
      addLemonldapRoutes(app, doors);
    },
  };
}

/** Every route of the API but its description. */
export function addApiRoutes(app: App, deps: Omit<HttpDeps, "limits">): void {
  const { verification, runner, onDemand, metrics } = deps;
  const { directories, http } = deps.config;
  const { db } = verification;
  addOpenRoutes(app, {
    db,
    keys: verification.keys,
    directories,
    metrics,
    metricsHere: http.metricsListen === undefined,
  });
  addLoginRoutes(app, { ...verification, metrics });
  addAdminManyUsersRoutes(app, verification);
  addAdminUserRoutes(app, verification);
  addRefreshUserRoute(app, { db, onDemand });
  addAdminSyncRoutes(app, { db, directories, runner });
  addAdminAuditRoutes(app, { db });
  addAdminNoticeRoutes(app, { db });
  addAdminOverviewRoutes(app, { db, config: deps.config, ...deps.overview });
}
