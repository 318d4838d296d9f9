// The main flow: one pass over one directory. list and stage → plan → limits → apply → finish. Nothing that a user has is
// touched before the last step, and that step is one transaction.

import type { Actor } from "../audit/audit-events-table.ts";
import type { DirectoryConfig } from "../config/config.ts";
import { askAgain } from "../directory/ask-again.ts";
import type { Log } from "../log.ts";
import type { Database } from "../store/database.ts";
import type { Lease } from "../store/leases-table.ts";
import { applyFirstPolicy } from "../users/apply-policy.ts";
import type { MfaPolicy } from "../users/policy.ts";
import { applyPlan, holdPlan, keepPlan } from "./apply-plan.ts";
import { getDirectoryMemory } from "./directories-table.ts";
import { keepLease } from "./keep-lease.ts";
import { findPlanKeeper } from "./kept-rows-table.ts";
import { makePlan } from "./make-plan.ts";
import { stageListing } from "./stage-listing.ts";
import type { RunTrigger, SyncRun } from "./sync-run.ts";

export interface SyncDeps {
  db: Database;
  log: Log;
  /** Comes into force where none is; a daemon that starts replaces it (users/apply-policy.ts). */
  policy: MfaPolicy;
  /** Names of the configured directories, this one's among them. */
  directories: readonly string[];
  /** Names this process in leases: host name and process id. */
  holder: string;
}

export interface SyncRequest {
  directory: DirectoryConfig;
  trigger: RunTrigger;
  actor: Actor;
  dryRun: boolean;
  /** The held run that this one is to carry out; approved in the moment in which this one starts. */
  approves?: SyncRun;
  /** Aborting fails the run cleanly before anything is applied. */
  signal: AbortSignal;
  /** Called with the number of entries listed so far. */
  onProgress?: (entries: number) => void;
}

export async function runSync(
  deps: SyncDeps,
  request: SyncRequest,
  { run, lease }: { run: SyncRun; lease: Lease },
): Promise<void> {
  const { db, log } = deps;
  const { directory, dryRun } = request;
  const approvedPlan = run.approves === null ? null : await findPlanKeeper(db, run.approves);
  const planRun = { id: run.id, directory: run.directory, approves: run.approves, approvedPlan };
  const kept = keepLease({ db, log }, lease);
  try {
    const signal = AbortSignal.any([request.signal, kept.signal]);
    await applyFirstPolicy(deps, request.actor);
    const memory = await getDirectoryMemory(db, run.directory);
    const listing = await stageListing(
      { db, log },
      {
        run,
        directory,
        rememberedKind: memory.kind ?? undefined,
        usersStored: memory.firstImportedAt !== null,
        signal,
        onProgress: request.onProgress ?? (() => {}),
      },
    );
    const approvedHolds = request.approves?.holdReasons ?? [];
    const plan = await makePlan(db, {
      run: planRun,
      directory,
      directories: deps.directories,
      listing,
      approvedHolds,
      askAgain: (ids) =>
        askAgain({ ...directory, kind: listing.kind }, { ids, server: listing.server, signal }),
    });
    signal.throwIfAborted();
    kept.stop();
    const { confirmRemovals } = directory.limits;
    const decided = {
      run: planRun,
      plan,
      listing,
      confirmRemovals,
      lease,
      actor: request.actor,
    };
    if (plan.holdReasons.length > 0) await holdPlan(db, decided, dryRun);
    else if (dryRun) await keepPlan(db, decided);
    else await applyPlan(db, decided);
  } finally {
    kept.stop();
  }
}
