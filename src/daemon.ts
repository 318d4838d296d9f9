// The daemon put together: database, keys, policy, sync schedule, audit sealing, housekeeping, HTTP. Gives back
// reload() and stop().

import { randomBytes } from "node:crypto";
import packageJson from "../package.json" with { type: "json" };
import type { Actor } from "./audit/audit-events-table.ts";
import { startAuditSealing } from "./audit/audit-sealing.ts";
import { startEventStream } from "./audit/event-stream.ts";
import { systemClock } from "./clock.ts";
import type { Config } from "./config/config.ts";
import { type ConsoleServer, createConsoleServer } from "./console/console-server.ts";
import type { ConsoleDeps } from "./console/deps.ts";
import { startHousekeeping } from "./housekeeping.ts";
import { createMetrics } from "./http/metrics.ts";
import { createApplication, createHttpServer } from "./http/server.ts";
import type { Log } from "./log.ts";
import { startNotices } from "./notices/notices.ts";
import { countNotices } from "./notices/notices-table.ts";
import { newRequestId } from "./request-id.ts";
import { openChainKey } from "./sealing/chain-key.ts";
import { startKeyReports } from "./sealing/report-keys.ts";
import { openSealingKeys } from "./sealing/sealing-keys.ts";
import { type Database, openDatabase } from "./store/database.ts";
import { requireCurrentSchema } from "./store/migrate.ts";
import { listSyncAges } from "./sync/directories-table.ts";
import { createOnDemand } from "./sync/on-demand.ts";
import { listUnconfigured } from "./sync/rename-directory.ts";
import { scheduleSyncs } from "./sync/schedule.ts";
import type { SyncRun } from "./sync/sync-run.ts";
import { createSyncRunner, holderName } from "./sync/sync-runner.ts";
import { keysForRestart, takenOver } from "./take-over.ts";
import { applyPolicy, type PolicyDeps } from "./users/apply-policy.ts";
import { mfaPolicyOf } from "./users/policy.ts";
import { listGroupsNotFound } from "./users/policy-table.ts";
import { createBackupCodeHasher, presentKdf } from "./verification/backup-code-hash.ts";
import { createTogether } from "./verification/together.ts";

export interface Daemon {
  /** Where the HTTP API listens. */
  address: string;
  /** Where the console listens; undefined where there is none. */
  consoleAddress: string | undefined;
  /**
   * Takes over a configuration that was read again: callers, policy, directories, schedules, retention, certificate, log
   * level. Resolves with the keys that wait for a restart. Rejects, with the configuration before in force, when it cannot
   * be taken over.
   */
  reload(config: Config): Promise<string[]>;
  /** Stops cleanly: requests are answered, a listing is given up, a plan being applied is finished. */
  stop(): Promise<void>;
}

/** Starts everything or throws, with nothing left running. */
export async function startDaemon(config: Config, log: Log): Promise<Daemon> {
  // One for all that this process does by itself; its first line in the log has it.
  const requestId = newRequestId();
  const actor: Actor = { name: "dirmfa", via: "daemon", requestId };
  const retention: Actor = { name: "retention", via: "daemon", requestId };
  let running = config;
  // Stopped in the opposite order: first what asks for work, last what the work stands on.
  await using started = new AsyncDisposableStack();
  const database = started.adopt(await openDatabase(config.database, { log, owner: true }), (it) =>
    it.close(),
  );
  const { db } = database;
  await requireCurrentSchema(db);
  const keys = await openSealingKeys({ db, folder: config.keys.folder, log, actor });
  const holder = holderName();
  started.adopt(await startKeyReports({ db, folder: config.keys.folder, log, holder }), (it) => it.stop());
  const chainKey = await openChainKey({ db, keys, randomBytes });
  const requirements = await applyPolicy(policyDepsOf(db, config), actor);
  await tellGaps({ db, log }, config);

  const notices = started.adopt(
    startNotices({
      db,
      log,
      holder,
      config: () => running.notices,
      directories: () => namesOf(running),
    }),
    (it) => it.stop(),
  );
  const auditSealing = started.adopt(
    startAuditSealing({
      db,
      log,
      chainKey,
      holder,
      clock: systemClock,
      actor: retention,
      headFolder: config.audit.headFolder,
      retentionMs: () => running.retention.auditEventsMs,
      onBroken: (kind) => notices.tellBrokenChain(kind),
    }),
    (it) => it.stop(),
  );
  const { stream } = config.audit;
  const eventStream =
    stream && started.adopt(startEventStream({ db, log, holder }, stream), (it) => it.stop());
  started.adopt(
    startHousekeeping({ db, log, actor: retention, engine: database.engine }, () => running.retention),
    (it) => it.stop(),
  );
  const metrics = createMetrics(
    () => listSyncAges(db),
    () => auditSealing.measure(),
    () => listGroupsNotFound(db),
    () => countNotices(db),
    eventStream && (() => eventStream.measure()),
  );
  const onFinished = (run: SyncRun) =>
    metrics.countSyncRun(run.directory, run.status, run.error?.code ?? null);
  // Each run takes policy and directories as they are when it begins.
  const syncDeps = {
    db,
    log,
    holder,
    onFinished,
    get policy() {
      return mfaPolicyOf(running.mfa);
    },
    get directories() {
      return namesOf(running);
    },
  };
  const runner = started.adopt(createSyncRunner(syncDeps), (it) => it.stop());
  const startSchedule = (directories: Config["directories"]) =>
    scheduleSyncs({ db, log, runner, requestId }, directories);
  let schedule = startSchedule(config.directories);
  started.defer(() => schedule.stop());
  const startOnDemand = (directories: Config["directories"]) =>
    createOnDemand(
      { db, log, clock: systemClock, holder, requestId, onRefreshed: metrics.countUserRead },
      directories,
    );
  let onDemand = startOnDemand(config.directories);
  started.defer(() => onDemand.stop());
  const hasher = createBackupCodeHasher(presentKdf);
  const together = createTogether(db);
  const overview = {
    measureAudit: () => auditSealing.measure(),
    nextRunOf: (directory: string) => schedule.nextRunOf(directory),
  };
  const httpDepsOf = (of: Config) => ({
    config: of,
    verification: {
      db,
      log,
      clock: systemClock,
      keys,
      hasher,
      together,
      randomBytes,
      mfa: of.mfa,
      directories: namesOf(of),
      readForSignIn: (name: { username: string; directory?: string | undefined }) =>
        onDemand.readForSignIn(name),
    },
    runner,
    onDemand: { refresh: (request: Parameters<typeof onDemand.refresh>[0]) => onDemand.refresh(request) },
    metrics,
    overview,
  });
  const http = await createHttpServer(httpDepsOf(config));
  started.adopt(http, (it) => it.close());
  const consoleDepsOf = (of: Config): ConsoleDeps | undefined =>
    of.console && {
      ...httpDepsOf(of),
      config: { ...of, console: of.console },
      ...overview,
    };
  const consoleServer = await openConsole(consoleDepsOf(config), started);
  const { main, metrics: metricsAddress } = await http.listen();
  const consoleAddress = await consoleServer?.listen();

  log.info(
    {
      version: packageJson.version,
      requestId,
      address: main,
      metricsAddress,
      ...(consoleAddress === undefined ? {} : { consoleAddress }),
      engine: database.engine,
      directories: config.directories.length,
      requirements,
    },
    "dirmfa is ready",
  );
  const stack = started.move();
  return {
    address: main,
    consoleAddress,
    async reload(read) {
      const before = running;
      const next = takenOver(before, read);
      const exchange = await http.prepare(createApplication(httpDepsOf(next)));
      const nextConsole = consoleDepsOf(next);
      const exchangeConsole = nextConsole && (await consoleServer?.prepare(nextConsole));
      const changed = await applyPolicy(policyDepsOf(db, next), actor);
      // From here on nothing fails: this policy is in force, and the rest has to go with it.
      running = next;
      exchange();
      exchangeConsole?.();
      log.level = next.log.level;
      const last = schedule;
      schedule = startSchedule(next.directories);
      await last.stop();
      const asked = onDemand;
      onDemand = startOnDemand(next.directories);
      await asked.stop();
      log.info(
        { directories: next.directories.length, requirements: changed },
        "the configuration was taken over",
      );
      await tellGaps({ db, log }, next).catch((error: unknown) => {
        log.warn({ err: error }, "not looked for directories and groups that are missing");
      });
      return keysForRestart(before, read);
    },
    stop: () => stack.disposeAsync(),
  };
}

async function openConsole(
  deps: ConsoleDeps | undefined,
  started: AsyncDisposableStack,
): Promise<ConsoleServer | undefined> {
  return deps && started.adopt(await createConsoleServer(deps), (it) => it.close());
}

function namesOf({ directories }: Config): string[] {
  return directories.map(({ name }) => name);
}

function policyDepsOf(db: Database, config: Config): PolicyDeps {
  return { db, policy: mfaPolicyOf(config.mfa), directories: namesOf(config) };
}

async function tellGaps(deps: { db: Database; log: Log }, config: Config): Promise<void> {
  await tellUnconfigured(deps, config);
  await tellGroupsNotFound(deps);
}

async function tellUnconfigured({ db, log }: { db: Database; log: Log }, config: Config): Promise<void> {
  for (const { name, users } of await listUnconfigured({ db, directories: namesOf(config) })) {
    log.warn({ directory: name, users }, "users of a directory that is not configured cannot sign in");
  }
}

/** Of a group that was never found nobody is required to do anything; the metrics tell it as well. */
async function tellGroupsNotFound({ db, log }: { db: Database; log: Log }): Promise<void> {
  for (const group of await listGroupsNotFound(db)) {
    log.warn({ group }, "no run has found this group of mfa.requireForGroups yet");
  }
}
