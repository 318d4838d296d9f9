// Sync runs: insert, finish, find, list. A run changes from `running` to its end exactly once.

import type { ServerIdentity } from "../directory/listing-page.ts";
import type { Database, Transaction } from "../store/database.ts";
import type { Measured } from "./limits.ts";
import type {
  HoldCode,
  NoteCode,
  RunCounts,
  RunError,
  RunRemark,
  RunStatus,
  RunTrigger,
  SyncRun,
} from "./sync-run.ts";

const columns = [
  "id",
  "directory",
  "kind",
  "trigger",
  "requested_by",
  "dry_run",
  "approves",
  "status",
  "started_at",
  "finished_at",
  "server_url",
  "listed",
  "unchanged",
  "added",
  "changed",
  "restored",
  "disabled",
  "removed",
  "skipped",
  "hold_reasons",
  "notes",
  "plan_digest",
  "approved_at",
  "approved_by",
  "error_code",
  "error_message",
  "error_remedy",
];

export interface NewRun {
  /** Where the caller has made one already. */
  id?: string;
  directory: string;
  /** A full one where it is not said. */
  kind?: SyncRun["kind"];
  trigger: RunTrigger;
  requestedBy: string;
  dryRun: boolean;
  approves: string | null;
  fencingToken: string;
  /** The tick of the schedule that the run is for. */
  slot: Date | null;
}

export async function insertRun(trx: Transaction, run: NewRun): Promise<SyncRun> {
  const [row] = await trx("sync_runs")
    .insert({
      ...(run.id === undefined ? {} : { id: run.id }),
      directory: run.directory,
      kind: run.kind ?? "full",
      trigger: run.trigger,
      requested_by: run.requestedBy,
      dry_run: run.dryRun,
      approves: run.approves,
      status: "running",
      // Not now(): the transaction may have waited for the lease of the run before.
      started_at: trx.raw("clock_timestamp()"),
      fencing_token: run.fencingToken,
      slot: run.slot,
    })
    .returning(columns);
  return runOf(row);
}

/** Marks runs of a directory that are still `running` as abandoned; the caller has just won its lease. Returns them. */
export async function abandonRuns(
  trx: Transaction,
  directory: string,
): Promise<{ id: string; approves: string | null }[]> {
  return await trx("sync_runs").where({ directory, status: "running" }).update(
    {
      status: "abandoned",
      finished_at: trx.fn.now(),
      error_code: "aborted",
      error_message: "The process that ran it ended before the run did; nothing of it was applied.",
    },
    ["id", "approves"],
  );
}

/** Makes a run that is under way another kind of run. */
export async function setRunKind(db: Database, id: string, kind: SyncRun["kind"]): Promise<void> {
  await db("sync_runs").where({ id, status: "running" }).update({ kind });
}

export interface RunResult {
  status: Exclude<RunStatus, "running" | "abandoned">;
  server: ServerIdentity;
  counts: RunCounts;
  holdReasons: RunRemark<HoldCode>[];
  notes: RunRemark<NoteCode>[];
  planDigest: string;
  /** Null unless the plan was applied. */
  measured: Measured | null;
}

/** Ends a run with what it planned. False when it is no longer `running`: another process has declared it abandoned. */
export async function finishRun(trx: Transaction, id: string, result: RunResult): Promise<boolean> {
  const updated = await trx("sync_runs")
    .where({ id, status: "running" })
    .update({
      status: result.status,
      // Not now(), which is when the transaction began.
      finished_at: trx.raw("clock_timestamp()"),
      server_url: result.server.url,
      server_identity: result.server.identity,
      server_state: result.server.state,
      ...result.counts,
      hold_reasons: JSON.stringify(result.holdReasons),
      notes: JSON.stringify(result.notes),
      plan_digest: result.planDigest,
      measured: result.measured && JSON.stringify(result.measured),
    });
  return updated === 1;
}

/** False when the run is no longer `running`. */
export async function failRun(trx: Transaction, id: string, error: RunError): Promise<boolean> {
  const updated = await trx("sync_runs").where({ id, status: "running" }).update({
    status: "failed",
    finished_at: trx.fn.now(),
    error_code: error.code,
    error_message: error.message,
    error_remedy: error.remedy,
  });
  return updated === 1;
}

/** True for exactly one of any number of callers, and only for a held run that is not a dry run. */
export async function markApproved(trx: Transaction, id: string, approvedBy: string): Promise<boolean> {
  const updated = await trx("sync_runs")
    .where({ id, status: "held", dry_run: false, approved_at: null })
    .update({ approved_at: trx.fn.now(), approved_by: approvedBy });
  return updated === 1;
}

/** Lets a held run be approved again, after the run that was to carry it out came to nothing. */
export async function unmarkApproved(trx: Transaction, id: string): Promise<void> {
  await trx("sync_runs").where({ id, status: "held" }).update({ approved_at: null, approved_by: null });
}

export async function findRun(db: Database, id: string): Promise<SyncRun | undefined> {
  const row = await db("sync_runs").first(columns).where({ id });
  return row && runOf(row);
}

export async function findRunningRun(db: Database, directory: string): Promise<SyncRun | undefined> {
  const row = await db("sync_runs").first(columns).where({ directory, status: "running" });
  return row && runOf(row);
}

/** Forgets ended runs, with their plans and skips unless a later run shares them, that began longer ago than `retentionMs`. */
export async function deleteOldRuns(trx: Transaction, retentionMs: number): Promise<number> {
  const { rows } = await trx.raw<{ rows: { deleted: number }[] }>(
    `with run as (
       select id, coalesce(plan_of, id) as plan, coalesce(skips_of, id) as skips,
         status <> 'running' and started_at < now() - :retentionMs * interval '1 millisecond' as is_old
       from sync_runs
     ), changes as (
       delete from sync_changes where run_id in (
         select plan from run where is_old except select plan from run where not is_old)
     ), skips as (
       delete from sync_skips where run_id in (
         select skips from run where is_old except select skips from run where not is_old)
     ), old as (
       delete from sync_runs using run where sync_runs.id = run.id and run.is_old returning sync_runs.id
     )
     select count(*)::int as deleted from old`,
    { retentionMs },
  );
  return rows[0]?.deleted ?? 0;
}

export interface RunFilter {
  directory?: string | undefined;
  status?: RunStatus | undefined;
  /** The last run of the page before. */
  after?: { startedAt: Date; id: string } | undefined;
  limit: number;
}

/** Runs, newest first, without those of one user: the audit event of each names it, and `findRun` finds it. */
export async function listRuns(db: Database, filter: RunFilter): Promise<SyncRun[]> {
  const query = db("sync_runs")
    .select(columns)
    .whereNot({ kind: "one-user" })
    .orderBy([
      { column: "started_at", order: "desc" },
      { column: "id", order: "desc" },
    ])
    .limit(filter.limit);
  if (filter.directory) query.where({ directory: filter.directory });
  if (filter.status) query.where({ status: filter.status });
  if (filter.after) query.whereRaw("(started_at, id) < (?, ?)", [filter.after.startedAt, filter.after.id]);
  const rows: RunRow[] = await query;
  return rows.map(runOf);
}

interface RunRow extends RunCounts {
  id: string;
  directory: string;
  kind: SyncRun["kind"];
  trigger: RunTrigger;
  requested_by: string;
  dry_run: boolean;
  approves: string | null;
  status: RunStatus;
  started_at: Date;
  finished_at: Date | null;
  server_url: string | null;
  hold_reasons: RunRemark<HoldCode>[] | null;
  notes: RunRemark<NoteCode>[] | null;
  plan_digest: string | null;
  approved_at: Date | null;
  approved_by: string | null;
  error_code: RunError["code"] | null;
  error_message: string | null;
  error_remedy: string | null;
}

function runOf(row: RunRow): SyncRun {
  const { listed, unchanged, added, changed, restored, disabled, removed, skipped } = row;
  return {
    id: row.id,
    directory: row.directory,
    kind: row.kind,
    trigger: row.trigger,
    requestedBy: row.requested_by,
    dryRun: row.dry_run,
    approves: row.approves,
    status: row.status,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    serverUrl: row.server_url,
    counts:
      listed === null ? null : { listed, unchanged, added, changed, restored, disabled, removed, skipped },
    holdReasons: row.hold_reasons ?? [],
    notes: row.notes ?? [],
    planDigest: row.plan_digest,
    approvedAt: row.approved_at,
    approvedBy: row.approved_by,
    error: row.error_code && {
      code: row.error_code,
      message: row.error_message ?? "",
      remedy: row.error_remedy,
    },
  };
}

/** The server of the last run that read a whole listing. */
export async function findLastServer(db: Database, directory: string): Promise<ServerIdentity | undefined> {
  return db("sync_runs")
    .where({ directory, kind: "full" })
    .whereNotNull("server_identity")
    .orderBy("started_at", "desc")
    .first<ServerIdentity | undefined>({
      url: "server_url",
      identity: "server_identity",
      state: "server_state",
    });
}
