// Staging: a listing on its way into the store, a page a statement. What equals the stored copy is kept as one row a page
// (the ids alone); only what differs is staged in full. Nothing here touches a user.

import type { EntryColumns, GroupColumns, MemberColumns, SkippedEntry } from "../directory/listing-page.ts";
import type { Database, Transaction } from "../store/database.ts";
import { usernameKeyOf } from "../username.ts";

export interface StagingRun {
  id: string;
  directory: string;
}

/**
 * Notes the rows of a page whose digest equals the stored one as unchanged, and returns the directory ids of the others.
 * `table` says whether the page holds users or groups. A removed user is never unchanged: it has to be restored.
 */
export async function stageUnchanged(
  db: Database,
  run: StagingRun,
  page: { table: "users" | "groups"; number: number; directoryIds: string[]; hashes: string[] },
): Promise<Set<string>> {
  const live = page.table === "users" ? "and stored.state <> 'removed'" : "";
  const { rows } = await db.raw<{ rows: { directory_id: string }[] }>(
    `with page as (
       select * from unnest(:directoryIds::text[], :hashes::text[]) as page (directory_id, entry_hash)
     ), unchanged as (
       select stored.id, page.directory_id from page
       join ${page.table} stored on stored.directory = :directory and stored.directory_id = page.directory_id
       where stored.entry_hash = page.entry_hash ${live}
     ), noted as (
       insert into staged_pages (run_id, number, unchanged_ids)
       select :runId::uuid, :number::int, array_agg(id) from unchanged having count(*) > 0
     )
     select directory_id from page where directory_id not in (select directory_id from unchanged)`,
    {
      runId: run.id,
      directory: run.directory,
      number: page.number,
      directoryIds: page.directoryIds,
      hashes: page.hashes,
    },
  );
  return new Set(rows.map((row) => row.directory_id));
}

/** Stages entries in full. Returns how many rows that made: an entry listed twice is staged once. */
export async function stageEntries(db: Database, run: StagingRun, entries: EntryColumns): Promise<number> {
  const result = await db.raw<{ rowCount: number }>(
    `insert into staged_entries (run_id, directory_id, username, username_key, display_name, email, dn, dn_key,
       alias_keys, disabled, entry_hash)
     select :runId::uuid, page.* from unnest(:directoryIds::text[], :usernames::text[], :usernameKeys::text[],
       :displayNames::text[], :emails::text[], :dns::text[], :dnKeys::text[], :aliasKeys::text[],
       :disabled::boolean[], :hashes::text[]) as page
     on conflict do nothing`,
    { runId: run.id, ...entries },
  );
  return result.rowCount;
}

export async function stageGroups(db: Database, run: StagingRun, groups: GroupColumns): Promise<number> {
  const result = await db.raw<{ rowCount: number }>(
    `insert into staged_groups (run_id, directory_id, name, name_key, dn, dn_key, entry_hash)
     select :runId::uuid, page.* from unnest(:directoryIds::text[], :names::text[], :nameKeys::text[], :dns::text[],
       :dnKeys::text[], :hashes::text[]) as page
     on conflict do nothing`,
    { runId: run.id, ...groups, nameKeys: groups.names.map(usernameKeyOf) },
  );
  return result.rowCount;
}

export async function stageMembers(db: Database, run: StagingRun, members: MemberColumns): Promise<void> {
  await db.raw(
    `insert into staged_group_members (run_id, group_directory_id, member_key)
     select :runId::uuid, page.* from unnest(:groupDirectoryIds::text[], :memberKeys::text[]) as page`,
    { runId: run.id, ...members },
  );
}

/** Reports unusable entries; what is known of them protects the users that they belong to (rule 8). */
export async function insertSkips(db: Database, run: StagingRun, skipped: SkippedEntry[]): Promise<void> {
  await db("sync_skips").insert(
    skipped.map((entry) => ({
      run_id: run.id,
      dn: entry.dn,
      dn_key: entry.dnKey,
      directory_id: entry.directoryId,
      username_key: entry.usernameKey,
      reason: entry.reason,
      detail: entry.detail,
    })),
  );
}

/** What the store holds of a run's staging, to be compared with what the listing handed over. */
export async function countStaged(
  db: Database,
  run: StagingRun,
): Promise<{ entries: number; groups: number; unchanged: number }> {
  const { rows } = await db.raw<{ rows: { entries: number; groups: number; unchanged: number }[] }>(
    `select (select count(*)::int from staged_entries where run_id = :runId) as entries,
       (select count(*)::int from staged_groups where run_id = :runId) as groups,
       (select coalesce(sum(cardinality(unchanged_ids)), 0)::int from staged_pages where run_id = :runId) as unchanged`,
    { runId: run.id },
  );
  return rows[0] ?? { entries: 0, groups: 0, unchanged: 0 };
}

const stagingTables = [
  "staged_pages",
  "staged_entries",
  "staged_groups",
  "staged_group_members",
  "staged_memberships",
];

/** Drops a run's staging; its plan and its skips stay with the run. */
export async function deleteStaging(db: Database | Transaction, runId: string): Promise<void> {
  for (const table of stagingTables) await db(table).where({ run_id: runId }).delete();
}
