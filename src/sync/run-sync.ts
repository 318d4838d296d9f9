// The main flow, one sync run over one directory: stage the listing, make the plan, then hold it, keep it (a dry run) or apply
// it. No user changes before that last step, which is one transaction. An incremental run is in run-incremental.ts. How a run starts and ends is in start-sync.ts.

import type { Actor } from "../audit/audit-events-table.ts";
import type { DirectoryConfig } from "../config/config.ts";
import { askAgain } from "../directory/ask-again.ts";
import type { ListingThreads } from "../directory/listing-threads.ts";
import { AppError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Database } from "../store/database.ts";
import type { Lease } from "../store/leases-table.ts";
import { applyFirstPolicy } from "../users/apply-policy.ts";
import type { MfaPolicy } from "../users/policy.ts";
import { applyPlan, holdPlan, keepPlan } from "./apply-plan.ts";
import { keepLease } from "./keep-lease.ts";
import { findPlanKeeper } from "./kept-rows-table.ts";
import { makePlan } from "./make-plan.ts";
import type { PlanRun } from "./plan-table.ts";
import { readingOf } from "./reading-of.ts";
import { runIncremental } from "./run-incremental.ts";
import { markPlanning } from "./runs-and-readings-table.ts";
import { stageListing } from "./stage-listing.ts";
import type { NoteCode, RunRemark, RunTrigger, SyncRun } from "./sync-run.ts";

export interface RunDeps {
  db: Database;
  log: Log;
  /** Comes into force where none is; a daemon that starts replaces it (users/apply-policy.ts). */
  policy: MfaPolicy;
  /** Names of the configured directories, this one's among them. */
  directories: readonly string[];
  /** Kept for the listings to come. Without, each listing starts a thread of its own. */
  listingThreads?: ListingThreads;
}

export interface SyncRequest {
  directory: DirectoryConfig;
  trigger: RunTrigger;
  actor: Actor;
  dryRun: boolean;
  /** A full one where it is not said. An incremental one becomes a full one where what has changed cannot be told. */
  kind?: "full" | "incremental";
  /** The held run that this one is to carry out; approved in the moment in which this one starts. */
  approves?: SyncRun;
  /** Aborting fails the run cleanly before anything is applied. */
  signal: AbortSignal;
  /** Called with the number of entries listed so far. */
  onProgress?: (entries: number) => void;
}

/**
 * Carries out a run that holds its directory's lease: everything that ends it well, a hold among it, is stored when this
 * resolves. Rejects with the AppError of whatever failed; then no user has changed.
 */
export async function runSync(
  deps: RunDeps,
  request: SyncRequest,
  { run, lease }: { run: SyncRun; lease: Lease },
): Promise<void> {
  const { db, listingThreads: threads } = deps;
  const { directory, actor, dryRun } = request;
  using kept = keepLease(deps, lease);
  const signal = AbortSignal.any([request.signal, kept.signal]);
  await applyFirstPolicy(deps, actor);

  let becameFull: RunRemark<NoteCode> | undefined;
  if (run.kind === "incremental") {
    const { onProgress } = request;
    const stopKeeping = kept.stop;
    const incremental = { run, directory, lease, signal, actor, onProgress, stopKeeping };
    becameFull = await runIncremental(deps, incremental);
    if (becameFull === undefined) return;
  }
  const listing = await stageListing(deps, { run, directory, signal, onProgress: request.onProgress });

  // From here on nobody is read on demand beside the run, and what the plan reads stays as it is.
  if (!(await markPlanning(db, run.id))) {
    throw new AppError("lease-lost", "Another process has declared this run abandoned.");
  }
  const planRun = await planRunOf(db, run);
  const made = await makePlan(db, {
    run: planRun,
    directory,
    directories: deps.directories,
    listing,
    approvedHolds: request.approves?.holdReasons ?? [],
    askAgain: (ids) =>
      askAgain({ ...directory, kind: listing.kind }, { ids, server: listing.server, signal, threads }),
  });
  const plan = becameFull === undefined ? made : { ...made, notes: [becameFull, ...made.notes] };
  signal.throwIfAborted();
  kept.stop(); // from here on the transaction that ends the run looks at the lease itself

  const { confirmRemovals } = directory.limits;
  const reading = readingOf(directory, listing.kind);
  const decided = { run: planRun, plan, listing, confirmRemovals, reading, lease, actor };
  if (plan.holdReasons.length > 0) await holdPlan(db, decided, dryRun);
  else if (dryRun) await keepPlan(db, decided);
  else await applyPlan(db, decided);
}

async function planRunOf(db: Database, { id, directory, approves }: SyncRun): Promise<PlanRun> {
  const approvedPlan = approves === null ? null : await findPlanKeeper(db, approves);
  return { id, directory, approves, approvedPlan };
}
