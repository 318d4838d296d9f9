// How a run starts and ends: under the directory's lease it is stored, then it runs (run-sync.ts), and whatever becomes of it is
// stored before the lease is given back.

import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import { AppError } from "../errors.ts";
import type { Transaction } from "../store/database.ts";
import { databaseFailure } from "../store/database-errors.ts";
import { acquireLease, type Lease, releaseLease } from "../store/leases-table.ts";
import { leaseTtlMs, syncLeaseName } from "./keep-lease.ts";
import { dropKept } from "./kept-rows-table.ts";
import { type RunDeps, runSync, type SyncRequest } from "./run-sync.ts";
import { hasScheduledRun, isIncrementalHeld } from "./scheduled-runs-table.ts";
import { deleteLeftStaging, deleteStaging } from "./staging-table.ts";
import type { RunError, SyncRun } from "./sync-run.ts";
import {
  abandonRuns,
  failRun,
  findRun,
  findRunningRun,
  insertRun,
  markApproved,
  unmarkApproved,
} from "./sync-runs-table.ts";

export interface SyncDeps extends RunDeps {
  /** Names this process in leases: host name and process id. */
  holder: string;
}

/** Why the schedule wants a run: its tick at this time, or that no run has succeeded for longer than its ticks are apart. */
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
  const { name } = request.directory;
  for (;;) {
    const begun = await deps.db.transaction((trx) => beginUnderLease(trx, deps.holder, request, due));
    if (begun === "not-due") return { kind: "not-due" };
    if (begun) return { kind: "started", run: begun.run, finished: finishSync(deps, request, begun) };
    const running = await findRunningRun(deps.db, name);
    if (running) return { kind: "already-running", run: running };
    // The other run has just ended, or its process was killed and its lease has not expired yet: try again.
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

interface BegunRun {
  run: SyncRun;
  lease: Lease;
}

/** Undefined when another run holds the lease. */
async function beginUnderLease(
  trx: Transaction,
  holder: string,
  request: SyncRequest,
  due: Due | undefined,
): Promise<BegunRun | "not-due" | undefined> {
  const { directory, trigger, actor, dryRun, approves, kind = "full" } = request;
  const asked = await acquireLease(trx, { name: syncLeaseName(directory.name), holder, ttlMs: leaseTtlMs });
  if (!asked.won) return undefined;
  const { lease } = asked;
  await clearAfterDeadRuns(trx, directory.name, actor);
  if (due && (await isDone(trx, directory.name, { kind, due }))) {
    await releaseLease(trx, lease);
    return "not-due";
  }
  if (approves) await approve(trx, approves, actor);
  const run = await insertRun(trx, {
    directory: directory.name,
    kind,
    trigger,
    requestedBy: actor.name,
    dryRun,
    approves: approves?.id ?? null,
    fencingToken: lease.token,
    slot: due && "slot" in due ? due.slot : null,
  });
  return { run, lease };
}

async function isDone(
  trx: Transaction,
  directory: string,
  wanted: { kind: "full" | "incremental"; due: Due },
): Promise<boolean> {
  if (await hasScheduledRun(trx, directory, wanted)) return true;
  return wanted.kind === "incremental" && (await isIncrementalHeld(trx, directory));
}

/** Whoever has the lease knows that no other run is alive: those that say they run belong to processes that were killed. */
async function clearAfterDeadRuns(trx: Transaction, directory: string, actor: Actor): Promise<void> {
  for (const { id, approves } of await abandonRuns(trx, directory)) {
    await dropKept(trx, id);
    if (approves !== null) await reopenApproval(trx, { id, approves, directory }, actor);
  }
  await deleteLeftStaging(trx);
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

/** When the run that was to carry out an approved plan failed or was cut off, the held run waits for approval again. */
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

/** Runs it, and releases the directory whatever happens. */
async function finishSync(deps: SyncDeps, request: SyncRequest, begun: BegunRun): Promise<SyncRun> {
  const { run } = begun;
  const log = deps.log.child({ runId: run.id, directory: run.directory });
  log.info({ kind: run.kind, trigger: run.trigger, dryRun: run.dryRun }, "sync run started");
  const finished = await endOf({ ...deps, log }, request, begun);
  log.info({ status: finished.status, ...finished.counts }, "sync run finished");
  return finished;
}

async function endOf(deps: SyncDeps, request: SyncRequest, begun: BegunRun): Promise<SyncRun> {
  const { db, log } = deps;
  const { run, lease } = begun;
  // Nothing can be stored while the database is away, but whoever waits must not take that for a success.
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
  remedy: "`dirmfa run list` shows how it ended.",
};

function runErrorOf(error: unknown): RunError {
  const told = databaseFailure(error) ?? error;
  if (told instanceof AppError)
    return { code: told.code, message: told.message, remedy: told.remedy ?? null };
  return { code: "internal", message: "An unexpected error; see the log.", remedy: null };
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
