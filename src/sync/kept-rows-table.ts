// Plans that were not applied and skips are kept once while they are equal: a directory that is held, or that has entries which
// cannot be used, says the same at every run.

import type { Database, Transaction } from "../store/database.ts";

/** Drops the run's plan where an earlier run, held or dry, has kept an equal one, and refers to that. The run must have ended. */
export async function sharePlan(trx: Transaction, runId: string): Promise<void> {
  await trx.raw(
    `with twin as (
       select keeper.id from sync_runs run join sync_runs keeper on keeper.directory = run.directory
       where run.id = :runId and keeper.id <> run.id and keeper.plan_of is null
         and keeper.plan_digest = run.plan_digest and (keeper.status = 'held' or keeper.dry_run)
       order by keeper.started_at desc limit 1
     ), dropped as (
       delete from sync_changes where run_id = :runId and exists (select from twin)
     )
     update sync_runs set plan_of = twin.id from twin where sync_runs.id = :runId`,
    { runId },
  );
}

/** The same for the entries that the run could not use. */
export async function shareSkips(trx: Transaction, runId: string): Promise<void> {
  await trx.raw(
    `update sync_runs set skips_digest = (
       select encode(sha256(convert_to(string_agg(
         jsonb_build_array(of_groups, dn, directory_id, reason, detail)::text, e'\\n'
         order by of_groups, dn collate "C", directory_id, reason collate "C", detail collate "C"), 'UTF8')), 'hex')
       from sync_skips where run_id = :runId)
     where id = :runId`,
    { runId },
  );
  await trx.raw(
    `with twin as (
       select keeper.id from sync_runs run join sync_runs keeper on keeper.directory = run.directory
       where run.id = :runId and keeper.id <> run.id and keeper.skips_of is null
         and keeper.skips_digest = run.skips_digest
       order by keeper.started_at desc limit 1
     ), dropped as (
       delete from sync_skips where run_id = :runId and exists (select from twin)
     )
     update sync_runs set skips_of = twin.id from twin where sync_runs.id = :runId`,
    { runId },
  );
}

/** The run with which the plan of this one is stored: itself, or an earlier one with an equal plan. */
export async function findPlanKeeper(db: Database | Transaction, runId: string): Promise<string> {
  const row = await db("sync_runs")
    .first<{ plan_of: string | null } | undefined>("plan_of")
    .where({ id: runId });
  return row?.plan_of ?? runId;
}

/** For a run that failed: its unfinished plan and the skips of a part of a listing are of no use. */
export async function dropKept(trx: Transaction, runId: string): Promise<void> {
  await trx("sync_changes").where({ run_id: runId }).delete();
  await trx("sync_skips").where({ run_id: runId }).delete();
}
