// An incremental run (rule 25): asks the server which users have changed since the last run, reads those again, and stores them by
// the rules of a run. Adds and changes, and removes nobody. Where what has changed cannot be told, the run becomes a full one.

import type { Actor } from "../audit/audit-events-table.ts";
import type { ListingThreads } from "../directory/listing-threads.ts";
import { AppError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Database } from "../store/database.ts";
import type { Lease } from "../store/leases-table.ts";
import { applyChanges } from "./apply-changes.ts";
import { markPlanning } from "./runs-and-readings-table.ts";
import { type StageChangesInput, stageChanges } from "./stage-changes.ts";
import { resetStaging } from "./staging-table.ts";
import type { NoteCode, RunRemark, SyncRun } from "./sync-run.ts";
import { setRunKind } from "./sync-runs-table.ts";

export interface IncrementalInput extends StageChangesInput {
  run: SyncRun;
  lease: Lease;
  /** Called before the transaction that ends the run, which looks at the lease itself. */
  stopKeeping(): void;
  actor: Actor;
}

/**
 * Resolves with nothing when the run has ended, applied, held or dry; with a note of why when it is to go on as a full one, which
 * its row says then. Rejects as a full run does.
 */
export async function runIncremental(
  deps: { db: Database; log: Log; listingThreads?: ListingThreads },
  input: IncrementalInput,
): Promise<RunRemark<NoteCode> | undefined> {
  const { db, log } = deps;
  const { run, directory, lease, signal, actor } = input;
  const changes = await stageChanges(deps, input);
  if ("doubt" in changes) {
    const { code, text } = changes.doubt;
    log.info({ code }, "incremental sync run becomes a full one");
    await resetStaging(db, run);
    await setRunKind(db, run.id, "full");
    return {
      code: "ended-in-full-run",
      text: `The run began as an incremental one and became a full one: ${text} (${code}).`,
    };
  }
  if (!(await markPlanning(db, run.id))) {
    throw new AppError("lease-lost", "Another process has declared this run abandoned.");
  }
  signal.throwIfAborted();
  input.stopKeeping();
  const planRun = { id: run.id, directory: run.directory, approves: null, approvedPlan: null };
  await applyChanges(db, { run: planRun, directory, changes, lease, actor, dryRun: run.dryRun });
  return undefined;
}
