// When directories are synchronized: node-cron ticks, and a run at the start where one is overdue. Overlap is not its
// concern: the lease of run-sync.ts answers a second start with the run that is going on.

import cron, { type ScheduledTask } from "node-cron";
import type { DirectoryConfig } from "../config/config.ts";
import type { Log } from "../log.ts";
import type { Database } from "../store/database.ts";
import type { RunTrigger } from "./sync-run.ts";
import type { SyncRunner } from "./sync-runner.ts";
import { listRuns } from "./sync-runs-table.ts";

export interface SyncSchedule {
  /** No run starts any more. Runs that have started are the runner's. */
  stop(): Promise<void>;
}

// A tick that comes late, because the machine slept or was busy, is still worth a run; node-cron's default is 1 s.
const lateTickMs = 5 * 60_000;

export interface ScheduleDeps {
  db: Database;
  log: Log;
  runner: SyncRunner;
  /** Of the daemon; in the audit events of what it starts. */
  requestId: string;
}

/** Starts the ticking of every directory that has a schedule. Runs overdue ones at once, without waiting for them. */
export async function scheduleSyncs(
  deps: ScheduleDeps,
  directories: DirectoryConfig[],
): Promise<SyncSchedule> {
  const tasks: ScheduledTask[] = [];
  for (const directory of directories) {
    if (directory.schedule === undefined) continue;
    const task = cron.schedule(directory.schedule, () => startRun(deps, directory, "schedule"), {
      timezone: directory.timeZone,
      maxRandomDelay: directory.jitterMs,
      missedExecutionTolerance: lateTickMs,
      logger: cronLogger(deps.log),
    });
    tasks.push(task);
    if (await isOverdue(deps.db, directory, task)) void startRun(deps, directory, "start");
  }
  return {
    async stop() {
      for (const task of tasks) await task.destroy();
    },
  };
}

async function startRun(
  { log, runner, requestId }: ScheduleDeps,
  directory: DirectoryConfig,
  trigger: RunTrigger,
): Promise<void> {
  try {
    const started = await runner.start({
      directory,
      trigger,
      actor: { name: trigger, via: "sync", requestId },
      dryRun: false,
    });
    if (started.kind === "already-running") {
      log.info({ directory: directory.name, runId: started.run.id }, "sync run is going on already");
    }
  } catch (error) {
    log.error({ err: error, directory: directory.name }, "sync run not started");
  }
}

/** True when the last run began longer ago than the time between two ticks, or there never was one. */
async function isOverdue(db: Database, directory: DirectoryConfig, task: ScheduledTask): Promise<boolean> {
  const [last] = await listRuns(db, { directory: directory.name, limit: 1 });
  const [next, afterNext] = task.getNextRuns(2);
  if (!last) return true;
  if (!next || !afterNext) return false;
  return Date.now() - last.startedAt.getTime() > afterNext.getTime() - next.getTime();
}

function cronLogger(log: Log) {
  return {
    info: (text: string) => log.debug({ text }, "schedule"),
    warn: (text: string) => log.warn({ text }, "schedule"),
    error: (failure: string | Error) => log.error({ err: failure }, "schedule"),
    debug: (text: string | Error) => log.trace({ text: String(text) }, "schedule"),
  };
}
