// The daemon put together: database, keys, policy, sync schedule, audit sealing, housekeeping, HTTP. Gives back stop().

import { randomBytes } from "node:crypto";
import packageJson from "../package.json" with { type: "json" };
import type { Actor } from "./audit/audit-events-table.ts";
import { startAuditSealing } from "./audit/audit-sealing.ts";
import { systemClock } from "./clock.ts";
import type { Config } from "./config/config.ts";
import { startHousekeeping } from "./housekeeping.ts";
import { createMetrics } from "./http/metrics.ts";
import { createHttpServer } from "./http/server.ts";
import type { Log } from "./log.ts";
import { newRequestId } from "./request-id.ts";
import { openDatabase } from "./store/database.ts";
import { requireCurrentSchema } from "./store/migrate.ts";
import { listSyncAges } from "./sync/directories-table.ts";
import { listUnconfigured } from "./sync/rename-directory.ts";
import { scheduleSyncs } from "./sync/schedule.ts";
import type { SyncRun } from "./sync/sync-run.ts";
import { createSyncRunner, holderName } from "./sync/sync-runner.ts";
import { applyPolicy } from "./users/apply-policy.ts";
import { mfaPolicyOf } from "./users/policy.ts";
import { createBackupCodeHasher } from "./verification/backup-code-hash.ts";
import { openChainKey } from "./verification/chain-key.ts";
import { openSealingKeys } from "./verification/sealing-keys.ts";

export interface Daemon {
  /** Where the HTTP API listens. */
  address: string;
  /** Stops cleanly: requests are answered, a listing is given up, a plan being applied is finished. */
  stop(): Promise<void>;
}

/** Starts everything or throws, with nothing left running. */
export async function startDaemon(config: Config, log: Log): Promise<Daemon> {
  // One for all that this process does by itself; its first line in the log has it.
  const requestId = newRequestId();
  const actor: Actor = { name: "dirmfa", via: "daemon", requestId };
  const retention: Actor = { name: "retention", via: "daemon", requestId };
  // Stopped in the opposite order: first what asks for work, last what the work stands on.
  await using started = new AsyncDisposableStack();
  const database = started.adopt(await openDatabase(config.database, { log, owner: true }), (it) =>
    it.close(),
  );
  const { db } = database;
  await requireCurrentSchema(db);
  const keys = await openSealingKeys({ db, folder: config.keys.folder, log, actor });
  const chainKey = await openChainKey({ db, keys, randomBytes });
  const policy = mfaPolicyOf(config.mfa);
  const requirements = await applyPolicy({ db, policy }, actor);

  const directories = config.directories.map(({ name }) => name);
  for (const { name, users } of await listUnconfigured({ db, directories })) {
    log.warn({ directory: name, users }, "users of a directory that is not configured cannot sign in");
  }
  const holder = holderName();
  const auditSealing = started.adopt(
    startAuditSealing({
      db,
      log,
      chainKey,
      holder,
      clock: systemClock,
      actor: retention,
      headFolder: config.audit.headFolder,
      retentionMs: () => config.retention.auditEventsMs,
    }),
    (it) => it.stop(),
  );
  started.adopt(startHousekeeping({ db, log, actor: retention }, config.retention), (it) => it.stop());
  const metrics = createMetrics(
    () => listSyncAges(db),
    () => auditSealing.measure(),
  );
  const onFinished = (run: SyncRun) =>
    metrics.countSyncRun(run.directory, run.status, run.error?.code ?? null);
  const runner = started.adopt(createSyncRunner({ db, log, policy, directories, holder, onFinished }), (it) =>
    it.stop(),
  );
  started.adopt(scheduleSyncs({ db, log, runner, requestId }, config.directories), (it) => it.stop());
  const hasher = createBackupCodeHasher();
  const verification = {
    db,
    log,
    clock: systemClock,
    keys,
    hasher,
    randomBytes,
    mfa: config.mfa,
    policy,
    directories,
  };
  const http = await createHttpServer({ config, verification, runner, metrics });
  started.adopt(http, (it) => it.close());
  const { main, metrics: metricsAddress } = await http.listen();

  log.info(
    {
      version: packageJson.version,
      requestId,
      address: main,
      metricsAddress,
      engine: database.engine,
      directories: config.directories.length,
      requirements,
    },
    "dirmfa is ready",
  );
  const running = started.move();
  return { address: main, stop: () => running.disposeAsync() };
}
