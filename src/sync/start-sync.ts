// How a run starts and ends: under the directory's lease it is stored, then it runs (run-sync.ts), and whatever becomes of it is
// stored before the lease is given back.

import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import { AppError } from "../errors.ts";
import type { Transaction } from "../store/database.ts";
import { databaseFailure } from "../store/database-errors.ts";
import { acquireLease, type Lease, releaseLease } from "../store/leases-table.ts";
import { leaseTtlMs, syncLeaseName } from "./keep-lease.ts";
import { dropKept } from "./kept-rows-table.ts";
import { runSync, type SyncDeps, type SyncRequest } from "./run-sync.ts";
import { deleteLeftStaging, deleteStaging } from "./staging-table.ts";
import type { RunError, SyncRun } from "./sync-run.ts";
import {
  abandonRuns,
  failRun,
  findRun,
  findRunningRun,
  hasScheduledRun,
  insertRun,
  markApproved,
  unmarkApproved,
} from "./sync-runs-table.ts";

/** What makes a run of the schedule's due: the tick that it is for, or that none was for longer than the schedule has between two. */
export type Due = { slot: Date } | { overdueAfterMs: number };

export type StartedSync =
  /** `finished` never rejects for what happens to the run: a failed run is a finished one with its error. */
  | { kind: "started"; run: SyncRun; finished: Promise<SyncRun> }
  /** One run per directory at a time, across all replicas (rule 9). */
  | { kind: "already-running"; run: SyncRun };

/**
 * Starts a run and comes back once it is in the store; the run goes on by itself. With `approves`, throws AppError
 * `run-not-held` when that run is not waiting for approval; one of any number of approvers starts a run.
 */
export async function startSync(deps: SyncDeps, request: SyncRequest): Promise<StartedSync> {
  const started = await begin(deps, request, undefined);
  if (started.kind === "not-due") throw new Error("a run that was asked for is always due");
  return started;
}

/**
 * The same for a run of the schedule, which each replica wants to start: decided under the lease, so that one of them does.
 * `not-due`: the schedule has had its run. Dry runs, and runs that failed or were cut off, are not counted for it.
 */
export async function startDueSync(
  deps: SyncDeps,
  request: Omit<SyncRequest, "approves">,
  due: Due,
): Promise<StartedSync | { kind: "not-due" }> {
  return await begin(deps, request, due);
}

async function begin(
  deps: SyncDeps,
  request: SyncRequest,
  due: Due | undefined,
): Promise<StartedSync | { kind: "not-due" }> {
  const { directory, trigger, actor, dryRun, approves } = request;
  for (;;) {
    const begun = await deps.db.transaction(async (trx) => {
      const lease = await acquireLease(trx, {
        name: syncLeaseName(directory.name),
        holder: deps.holder,
        ttlMs: leaseTtlMs,
      });
      if (!lease.won) return undefined;
      for (const { id, approves: open } of await abandonRuns(trx, directory.name)) {
        await dropKept(trx, id);
        if (open !== null)
          await reopenApproval(trx, { id, approves: open, directory: directory.name }, actor);
      }
      await deleteLeftStaging(trx);
      if (due && (await hasScheduledRun(trx, directory.name, due))) {
        await releaseLease(trx, lease.lease);
        return "not-due";
      }
      if (approves) await approve(trx, approves, actor);
      const run = await insertRun(trx, {
        directory: directory.name,
        trigger,
        requestedBy: actor.name,
        dryRun,
        approves: approves?.id ?? null,
        fencingToken: lease.lease.token,
        slot: due && "slot" in due ? due.slot : null,
      });
      return { run, lease: lease.lease };
    });
    if (begun === "not-due") return { kind: "not-due" };
    if (begun) return { kind: "started", run: begun.run, finished: finishSync(deps, request, begun) };
    const running = await findRunningRun(deps.db, directory.name);
    if (running) return { kind: "already-running", run: running };
    // The other run ended between the two looks, or its process has died in between: try again.
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function approve(trx: Transaction, held: SyncRun, actor: Actor): Promise<void> {
  if (!(await markApproved(trx, held.id, actor.name))) {
    throw new AppError("run-not-held", `Run ${held.id} is not waiting for approval.`, {
      remedy: "`dirmfa run list` shows the runs that are held.",
    });
  }
  await recordAuditEvent(trx, {
    actor,
    action: "sync-approve",
    directory: held.directory,
    outcome: "done",
    details: { runId: held.id, planDigest: held.planDigest },
  });
}

/** An approval holds for a run that ends by itself: where that failed or was cut off, the held run waits for approval again. */
async function reopenApproval(
  trx: Transaction,
  run: { id: string; approves: string; directory: string },
  { requestId }: Actor,
): Promise<void> {
  await unmarkApproved(trx, run.approves);
  await recordAuditEvent(trx, {
    actor: { name: "dirmfa", via: "sync", requestId },
    action: "sync-approve",
    directory: run.directory,
    outcome: "failed",
    details: { runId: run.approves, failedRun: run.id },
  });
}

/** Carries the run out and releases the directory whatever happens. */
async function finishSync(
  deps: SyncDeps,
  request: SyncRequest,
  begun: { run: SyncRun; lease: Lease },
): Promise<SyncRun> {
  const { run } = begun;
  const log = deps.log.child({ runId: run.id, directory: run.directory });
  log.info({ trigger: run.trigger, dryRun: run.dryRun }, "sync run started");
  const finished = await endOf({ ...deps, log }, request, begun);
  log.info({ status: finished.status, ...finished.counts }, "sync run finished");
  return finished;
}

async function endOf(
  deps: SyncDeps,
  request: SyncRequest,
  begun: { run: SyncRun; lease: Lease },
): Promise<SyncRun> {
  const { db, log } = deps;
  const { run, lease } = begun;
  // Without a database nothing can be recorded, but whoever waits must not take that for a success.
  const failed = (error: RunError): SyncRun => ({ ...run, status: "failed", finishedAt: new Date(), error });
  try {
    await runSync(deps, request, begun);
  } catch (error) {
    log.error({ err: error }, "sync run failed");
    const told = runErrorOf(error);
    if (!(await recordFailure(deps, { run, actor: request.actor }, told))) return failed(told);
  }
  try {
    await releaseLease(db, lease);
    return (await findRun(db, run.id)) ?? failed(resultUnknown);
  } catch (error) {
    log.warn({ err: error }, "lease not released; it expires by itself");
    return failed(resultUnknown);
  }
}

const resultUnknown: RunError = {
  code: "database-unavailable",
  message: "The database went away before the run's result could be read.",
  remedy: "`dirmfa run list` tells how it ended.",
};

function runErrorOf(error: unknown): RunError {
  const told = databaseFailure(error) ?? error;
  if (told instanceof AppError)
    return { code: told.code, message: told.message, remedy: told.remedy ?? null };
  return { code: "internal", message: "An unexpected error; the log has it.", remedy: null };
}

/** The run's own record of why it failed; false when the database is gone too, and the next run declares this one abandoned. */
async function recordFailure(
  deps: SyncDeps,
  { run, actor }: { run: SyncRun; actor: Actor },
  error: RunError,
): Promise<boolean> {
  try {
    // Together: a run that is over is not looked at again.
    await deps.db.transaction(async (trx) => {
      const failed = await failRun(trx, run.id, error);
      await deleteStaging(trx, run.id);
      if (failed) await dropKept(trx, run.id);
      if (failed && run.approves !== null)
        await reopenApproval(trx, { ...run, approves: run.approves }, actor);
    });
    return true;
  } catch (failure) {
    deps.log.error({ err: failure }, "failed run not recorded; the next run will mark it as abandoned");
    return false;
  }
}
