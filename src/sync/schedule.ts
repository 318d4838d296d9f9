// When directories are synchronized: node-cron ticks in every replica, and a run at the start where one is overdue. Overlap is
// not its concern: start-sync.ts decides, under the lease, whether a tick has had its run.

import cron, { type ScheduledTask } from "node-cron";
import type { DirectoryConfig } from "../config/config.ts";
import type { Log } from "../log.ts";
import type { Database } from "../store/database.ts";
import { awaitRunOf } from "./await-run.ts";
import type { Due } from "./start-sync.ts";
import type { RunTrigger, SyncRun } from "./sync-run.ts";
import type { SyncRunner } from "./sync-runner.ts";

export interface SyncSchedule {
  /** No run starts any more. Runs that have started are the runner's. */
  stop(): Promise<void>;
  /** When the next run of a directory is due; undefined for one that has no schedule, or none any more. */
  nextRunOf(directory: string): Date | undefined;
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

/**
 * Starts the ticking of every directory that has a schedule, and a run of each that is overdue, without waiting for it. All
 * replicas tick; the lease and the store decide which of them runs.
 */
export function scheduleSyncs(deps: ScheduleDeps, directories: DirectoryConfig[]): SyncSchedule {
  const stopping = new AbortController();
  /** Of full runs, by directory. */
  const tasks = new Map<string, ScheduledTask>();
  const incrementalTasks: ScheduledTask[] = [];
  const stop = async () => {
    stopping.abort();
    for (const task of [...tasks.values(), ...incrementalTasks]) await task.destroy();
  };
  try {
    for (const directory of directories) {
      if (directory.schedule === undefined) continue;
      const ticks = new Ticks({ ...deps, signal: stopping.signal }, directory);
      const options = {
        timezone: directory.timeZone,
        maxRandomDelay: directory.jitterMs,
        missedExecutionTolerance: lateTickMs,
        logger: cronLogger(deps.log),
      };
      const task = cron.schedule(
        directory.schedule,
        ({ date }) => ticks.start("schedule", { slot: date }),
        options,
      );
      tasks.set(directory.name, task);
      if (directory.incrementalSchedule !== undefined) {
        const startIncremental = ({ date }: { date: Date }) => ticks.startIncremental({ slot: date });
        incrementalTasks.push(cron.schedule(directory.incrementalSchedule, startIncremental, options));
      }
      const [next, afterNext] = task.getNextRuns(2);
      // A schedule that names one more time only, or none, is not late.
      if (next && afterNext) {
        void ticks.start("start", { overdueAfterMs: afterNext.getTime() - next.getTime() });
      }
    }
  } catch (error) {
    void stop(); // what ticks already must not go on without whoever asked for it
    throw error;
  }
  return { stop, nextRunOf: (directory) => tasks.get(directory)?.getNextRuns(1)[0] };
}

/** The runs that one directory's schedule wants. */
class Ticks {
  readonly #deps: ScheduleDeps & { signal: AbortSignal };
  readonly #directory: DirectoryConfig;
  #latest = 0;

  constructor(deps: ScheduleDeps & { signal: AbortSignal }, directory: DirectoryConfig) {
    this.#deps = deps;
    this.#directory = directory;
  }

  /** Never rejects. */
  async start(trigger: RunTrigger, due: Due): Promise<void> {
    const { log, signal } = this.#deps;
    const tick = ++this.#latest;
    try {
      // While a run goes on that does not count for the schedule, its end is waited for, but not beyond the next tick.
      while (tick === this.#latest && !signal.aborted) {
        if (await this.#startOrFollow(trigger, due)) return;
      }
    } catch (error) {
      if (!signal.aborted) log.error({ err: error, directory: this.#directory.name }, "sync run not started");
    }
  }

  /** Never rejects. Nothing is done where a run is going on: the next tick comes soon. */
  async startIncremental(due: Due): Promise<void> {
    const { log, runner, requestId, signal } = this.#deps;
    const directory = this.#directory;
    const actor = { name: "schedule", via: "sync", requestId } as const;
    try {
      const request = { directory, trigger: "schedule", actor, dryRun: false, kind: "incremental" } as const;
      await runner.startDue(request, due);
    } catch (error) {
      if (!signal.aborted) log.error({ err: error, directory: directory.name }, "sync run not started");
    }
  }

  /** True when the schedule has its run: this one, another replica's, or one that somebody has asked for. */
  async #startOrFollow(trigger: RunTrigger, due: Due): Promise<boolean> {
    const { db, log, runner, requestId, signal } = this.#deps;
    const directory = this.#directory;
    const actor = { name: trigger, via: "sync", requestId } as const;
    const started = await runner.startDue({ directory, trigger, actor, dryRun: false }, due);
    if (started.kind !== "already-running") return true;
    log.info({ directory: directory.name, runId: started.run.id }, "sync run is going on already");
    const ended = await awaitRunOf(db, started.run, signal);
    return ended !== undefined && ended.kind === "full" && !ended.dryRun && !isCutOff(ended);
  }
}

/** It ended with its process, so that another try may succeed. */
function isCutOff({ status, error }: SyncRun): boolean {
  return status === "abandoned" || error?.code === "aborted" || error?.code === "lease-lost";
}

function cronLogger(log: Log) {
  return {
    info: (text: string) => log.debug({ text }, "schedule"),
    warn: (text: string) => log.warn({ text }, "schedule"),
    error: (failure: string | Error) => log.error({ err: failure }, "schedule"),
    debug: (text: string | Error) => log.trace({ text: String(text) }, "schedule"),
  };
}
