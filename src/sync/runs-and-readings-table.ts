// How a sync run and users who are read on demand beside it keep out of each other's way (rule 26): while a run lists, users may be
// read; from its plan to its end, none is.

import type { Database, Transaction } from "../store/database.ts";

/**
 * From now on no user is read beside the run until it has ended: what its plan reads stays as it is. Waits for the reads that
 * are being stored. False when the run is no longer `running`.
 */
export async function markPlanning(db: Database, id: string): Promise<boolean> {
  const updated = await db("sync_runs")
    .where({ id, status: "running" })
    .update({ planned_from: db.raw("clock_timestamp()") });
  return updated === 1;
}

/** Keeps the run that lists this directory from planning until the transaction ends. False when none is only listing. */
export async function lockListingRun(trx: Transaction, directory: string): Promise<boolean> {
  const { rows } = await trx.raw<{ rows: unknown[] }>(
    `select from sync_runs where directory = :directory and status = 'running' and planned_from is null
     for update skip locked`,
    { directory },
  );
  return rows.length > 0;
}

/** Whether a run has changed the store since `time`, a text of the database's. No listing takes longer than a day. */
export async function hasAppliedSince(trx: Transaction, directory: string, time: string): Promise<boolean> {
  const { rows } = await trx.raw<{ rows: { found: boolean }[] }>(
    `select exists (
       select from sync_runs
       where directory = :directory and kind <> 'one-user' and status = 'succeeded' and not dry_run
         and started_at > :time::timestamptz - interval '2 days' and finished_at >= :time::timestamptz) as found`,
    { directory, time },
  );
  return rows[0]?.found ?? false;
}
