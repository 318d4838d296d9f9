// The runs of this process: started by schedule, API or command line, and brought to an end when the process stops.

import { hostname } from "node:os";
import { createListingThreads } from "../directory/listing-threads.ts";
import { AppError } from "../errors.ts";
import type { SyncRequest } from "./run-sync.ts";
import { type Due, type StartedSync, type SyncDeps, startDueSync, startSync } from "./start-sync.ts";
import type { SyncRun } from "./sync-run.ts";

export type RunnerRequest = Omit<SyncRequest, "signal">;

export interface SyncRunner {
  start(request: RunnerRequest): Promise<StartedSync>;
  /** Starts a run of the schedule, unless that has had its run. */
  startDue(request: Omit<RunnerRequest, "approves">, due: Due): Promise<StartedSync | { kind: "not-due" }>;
  /** Makes running listings fail as `aborted`; a run that applies its plan finishes. Resolves when all have ended. */
  stop(): Promise<void>;
}

export interface SyncRunnerDeps extends Omit<SyncDeps, "listingThreads"> {
  /** Told of every run of this process when it has ended. */
  onFinished?: (run: SyncRun) => void;
}

export function createSyncRunner(deps: SyncRunnerDeps): SyncRunner {
  const listingThreads = createListingThreads();
  // Policy and directories are those of the moment in which a run begins.
  const runDeps: SyncDeps = {
    db: deps.db,
    log: deps.log,
    holder: deps.holder,
    listingThreads,
    get policy() {
      return deps.policy;
    },
    get directories() {
      return deps.directories;
    },
  };
  const stopping = new AbortController();
  const running = new Set<Promise<SyncRun>>();
  const follow = (finished: Promise<SyncRun>) => {
    running.add(finished);
    void finished.then(deps.onFinished).finally(() => running.delete(finished));
  };
  return {
    async start(request) {
      stopping.signal.throwIfAborted();
      const started = await startSync(runDeps, { ...request, signal: stopping.signal });
      if (started.kind === "started") follow(started.finished);
      return started;
    },
    async startDue(request, due) {
      stopping.signal.throwIfAborted();
      const started = await startDueSync(runDeps, { ...request, signal: stopping.signal }, due);
      if (started.kind === "started") follow(started.finished);
      return started;
    },
    async stop() {
      stopping.abort(
        new AppError("aborted", "dirmfa was stopped during the run; nothing of it was applied.", {
          remedy: "The next run starts from the beginning.",
        }),
      );
      await Promise.all(running);
      await listingThreads.stop();
    },
  };
}

/** Names this process in leases. */
export function holderName(): string {
  return `${hostname()}:${process.pid}`;
}
