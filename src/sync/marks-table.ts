// How far each directory has been read, for incremental runs (rule 25): written with the users that a run stores, so that both are
// of one time, and forgotten with whatever makes the mark doubtful.

import type { Database, Transaction } from "../store/database.ts";
import { rawRows } from "../store/raw-rows.ts";
import type { PlanRun } from "./plan-table.ts";

export interface DirectoryMark {
  serverIdentity: string;
  /** See directory/change-mark.ts. */
  mark: string;
  /** Digest of how the directory was read; see `readingOf`. */
  reading: string;
  /** The full run that it goes back to. */
  fullRun: string;
}

export async function findMark(
  db: Database | Transaction,
  directory: string,
): Promise<DirectoryMark | undefined> {
  return db("directory_marks").where({ directory }).first<DirectoryMark | undefined>({
    serverIdentity: "server_identity",
    mark: "mark",
    reading: "reading",
    fullRun: "full_run",
  });
}

/** After a full run was applied. Without a mark, where the server tells none, what was kept is forgotten. */
export async function rememberMark(
  trx: Transaction,
  directory: string,
  { mark, ...kept }: Omit<DirectoryMark, "mark"> & { mark: string | null },
): Promise<void> {
  if (mark === null) return forgetMarks(trx, [directory]);
  const row = {
    server_identity: kept.serverIdentity,
    mark,
    reading: kept.reading,
    full_run: kept.fullRun,
  };
  await trx("directory_marks")
    .insert({ directory, ...row })
    .onConflict("directory")
    .merge(row);
}

/**
 * After an incremental run was applied. The server's state moves on too: a copy that lacks what this run has stored is an older one
 * (rule 4).
 */
export async function moveMark(
  trx: Transaction,
  directory: string,
  { mark, state }: { mark: string; state: string | null },
): Promise<void> {
  await trx("directory_marks").where({ directory }).update({ mark });
  await trx("directories").where({ name: directory }).update({ server_state: state });
}

export async function forgetMarks(trx: Transaction, directories: readonly string[]): Promise<void> {
  await trx("directory_marks")
    .whereIn("directory", [...directories])
    .delete();
}

export async function forgetAllMarks(trx: Transaction): Promise<void> {
  await trx("directory_marks").delete();
}

/**
 * Directory ids of the entries that the full run and those after it have skipped: they wait for another entry to change, which
 * names them in no delta. Up to `most`, and one more to tell that there are. Undefined when the full run is not kept any more.
 */
export async function listWaiting(
  db: Database,
  { directory, fullRun, most }: { directory: string; fullRun: string; most: number },
): Promise<string[] | undefined> {
  const rows = await rawRows<{ directory_id: string | null }>(
    db,
    `with since as (
       select started_at from sync_runs where id = :fullRun and directory = :directory
     )
     select null as directory_id from since
     union all
     select * from (
       select distinct k.directory_id
       from since
       join sync_runs r on r.directory = :directory and r.started_at >= since.started_at
         and r.status = 'succeeded' and not r.dry_run
       join sync_skips k on k.run_id = coalesce(r.skips_of, r.id)
       where not k.of_groups and k.directory_id is not null and k.reason <> 'attribute-left-out'
       limit :most + 1
     ) waiting`,
    { directory, fullRun, most },
  );
  if (rows.length === 0) return undefined;
  return rows.map((row) => row.directory_id).filter((id) => id !== null);
}

/** Directory ids of the users who came last. */
export async function listNewest(db: Database, directory: string, count: number): Promise<string[]> {
  const rows = await db("users")
    .where({ directory })
    .whereNot({ state: "removed" })
    .orderBy("id", "desc")
    .limit(count)
    .select<{ directory_id: string }[]>("directory_id");
  return rows.map((row) => row.directory_id);
}

/** Whom the plan writes; all but those of whom nothing but a skip is known. */
export async function listPlanned(trx: Transaction, run: PlanRun): Promise<string[]> {
  const rows = await trx("sync_changes")
    .where({ run_id: run.id })
    .select<{ directory_id: string }[]>("directory_id");
  return rows.map((row) => row.directory_id);
}

/** Users who are staged are not missing (`limits.confirmRemovals`). */
export async function forgetAbsencesOfStaged(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    `delete from user_absences a using users u, staged_entries s
     where a.user_id = u.id and u.directory = :directory and s.run_id = :id and s.directory_id = u.directory_id`,
    { ...run },
  );
}
