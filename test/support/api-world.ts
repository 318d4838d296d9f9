// The whole HTTP API over a real database, with verification and sync behind it, for tests of its routes.

import { directoryConfigFor } from "../../scripts/servers/slapd.ts";
import { systemClock } from "../../src/clock.ts";
import type { HttpConfig } from "../../src/config/config.ts";
import type { HttpLimits, HttpServer } from "../../src/http/listeners.ts";
import { createMetrics } from "../../src/http/metrics.ts";
import { createHttpServer } from "../../src/http/server.ts";
import { listSyncAges } from "../../src/sync/directories-table.ts";
import { createOnDemand, type OnDemand } from "../../src/sync/on-demand.ts";
import { createSyncRunner, type SyncRunner } from "../../src/sync/sync-runner.ts";
import { mfaPolicyOf } from "../../src/users/policy.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { openVerificationWorld, type VerificationWorld } from "../verification/verification-world.ts";
import { type Answer, call, httpConfigOf, tokens } from "./http-server.ts";
import { plainConfig, plainOverview } from "./plain-config.ts";

export interface ApiWorld extends VerificationWorld {
  server: HttpServer;
  url: string;
  runner: SyncRunner;
  onDemand: OnDemand;
  /** A POST of the login scope. */
  login(path: string, body: unknown): Promise<Answer>;
  /** A call of the admin scope: POST with a body, else GET, unless a method is named. */
  admin(path: string, request?: { method?: string; body?: unknown; actor?: string }): Promise<Answer>;
  /** A second server over the same database, as a replica or with other settings. */
  startServer(
    deps: VerificationDeps,
    http?: Partial<HttpConfig>,
  ): Promise<{ server: HttpServer; url: string }>;
}

// Nobody listens on the port of "tcpmux": a run fails within milliseconds, which is all that the API's tests need.
export const deadDirectoryUrl = "ldap://127.0.0.1:1";

export async function openApiWorld(
  options: { directoryUrl?: string; limits?: Partial<HttpLimits> } = {},
): Promise<ApiWorld> {
  const world = await openVerificationWorld();
  const { db } = world.database;
  const { log, mfa, directories } = world.deps;
  const runner = createSyncRunner({ db, log, policy: mfaPolicyOf(mfa), directories, holder: "test" });
  const servers: HttpServer[] = [];
  const directory = directoryConfigFor(unknownSlapd(options.directoryUrl ?? deadDirectoryUrl), {
    name: "main",
  });

  const onDemand = createOnDemand({ db, log, clock: systemClock, holder: "test", requestId: "test" }, [
    directory,
  ]);

  const startServer: ApiWorld["startServer"] = async (verification, http = {}) => {
    const server = await createHttpServer({
      config: plainConfig({ mfa: verification.mfa, http: httpConfigOf(http), directories: [directory] }),
      verification,
      runner,
      onDemand,
      metrics: createMetrics(() => listSyncAges(verification.db)),
      overview: plainOverview,
      limits: options.limits ?? {},
    });
    servers.push(server);
    return { server, url: (await server.listen()).main };
  };
  const { server, url } = await startServer(world.deps);

  return {
    ...world,
    server,
    url,
    runner,
    onDemand,
    startServer,
    login: (path, body) => call(`${url}${path}`, { token: tokens.login, body }),
    admin: (path, { method, body, actor } = {}) =>
      call(`${url}${path}`, {
        token: tokens.admin,
        ...(method === undefined ? {} : { method }),
        ...(body === undefined ? {} : { body }),
        ...(actor === undefined ? {} : { headers: { "x-actor": actor } }),
      }),
    async close() {
      for (const one of servers) await one.close();
      await runner.stop();
      await onDemand.stop();
      await world.close();
    },
  };
}

/** What a directory's configuration is made from; no server is started. */
function unknownSlapd(url: string): Parameters<typeof directoryConfigFor>[0] {
  return {
    url,
    suffix: "dc=example,dc=org",
    syncDn: "cn=sync,dc=example,dc=org",
    syncPassword: "never-sent-0123",
    caPem: undefined,
    // The rest belongs to a running server and is not looked at.
  } as Parameters<typeof directoryConfigFor>[0];
}
