// Staging: a listing on its way into the store, a page a statement. What equals the stored copy is kept as one row a page
// (the ids alone); only what differs is staged in full. Nothing here touches a user.

import type { EntryColumns, GroupColumns, SkippedEntry } from "../directory/listing-page.ts";
import { type Packed, packColumns } from "../directory/packed-columns.ts";
import type { Database, Transaction } from "../store/database.ts";
import { arrayLiteral } from "./array-literal.ts";

export interface StagingRun {
  id: string;
  directory: string;
}

/**
 * Notes the rows of a page whose digest equals the stored one as unchanged, and returns the numbers of the others, from 0: not
 * their directory ids, which two entries of a page may share. `table` says whether the page holds users or groups. A removed user is never unchanged: it has to be restored.
 */
export async function stageUnchanged(
  db: Database,
  run: StagingRun,
  page: {
    table: "users" | "groups";
    number: number;
    listed: Packed<Pick<EntryColumns, "directoryIds" | "hashes">>;
  },
): Promise<Set<number>> {
  const live = page.table === "users" ? "and stored.state <> 'removed'" : "";
  // One look into the unique index for each row of the page. As a join it would be planned from statistics, which are
  // missing or stale after a large import, and could then read the whole table for every page.
  const { rows } = await db.raw<{ rows: { row: number }[] }>(
    `with page as materialized (
       select listed.row, (
         select stored.id from ${page.table} stored
         where stored.directory = :directory and stored.directory_id = listed.directory_id
           and stored.entry_hash = listed.entry_hash ${live}
       ) as id
       from unnest(:directoryIds::text[], :hashes::text[]) with ordinality as listed (directory_id, entry_hash, row)
     ), noted as (
       insert into staged_pages (run_id, number, of_groups, unchanged_ids)
       select :runId::uuid, :number::int, :ofGroups::boolean, array_agg(id) from page where id is not null having count(*) > 0
     )
     select (row - 1)::int as row from page where id is null`,
    {
      runId: run.id,
      directory: run.directory,
      number: page.number,
      ofGroups: page.table === "groups",
      ...arrayLiterals(page.listed),
    },
  );
  return new Set(rows.map(({ row }) => row));
}

/** Stages entries in full. `userIds`, best in rising order, become the ids of those who turn out to be new users. */
export async function stageEntries(
  db: Database,
  run: StagingRun,
  entries: Packed<EntryColumns & { userIds: string[] }>,
): Promise<void> {
  await db.raw(
    `insert into staged_entries (run_id, directory_id, username, username_key, display_name, email, dn, dn_key,
       alias_keys, primary_group_key, disabled, entry_hash, user_id)
     select :runId::uuid, page.* from unnest(:directoryIds::text[], :usernames::text[], :usernameKeys::text[],
       :displayNames::text[], :emails::text[], :dns::text[], :dnKeys::text[], :aliasKeys::text[],
       :primaryGroupKeys::text[], :disabled::boolean[], :hashes::text[], :userIds::uuid[]) as page`,
    { runId: run.id, ...arrayLiterals(entries) },
  );
}

export async function stageGroups(
  db: Database,
  run: StagingRun,
  groups: Packed<GroupColumns>,
): Promise<void> {
  await db.raw(
    `insert into staged_groups (run_id, directory_id, name, name_key, dn, dn_key, entry_hash)
     select :runId::uuid, page.* from unnest(:directoryIds::text[], :names::text[], :nameKeys::text[], :dns::text[],
       :dnKeys::text[], :hashes::text[]) as page`,
    { runId: run.id, ...arrayLiterals(groups) },
  );
}

/** A piece of what a group lists: of the stretch of the order of keys that it covers, all that the group lists. */
export interface MemberStretch {
  groupDirectoryId: string;
  /** The stretch begins behind this key, or null with the first of all keys. */
  after: string | null;
  /** In the order of their bytes. The stretch ends with the last one, or, where `isLast`, with the last of all keys. */
  memberKeys: readonly string[];
  isLast: boolean;
}

/**
 * Compares stretches of what groups list with the same stretches of what they are stored as listing, and stages the edges that
 * come and go. Returns how many.
 */
export async function stageEdges(
  db: Database,
  run: StagingRun,
  stretches: readonly MemberStretch[],
): Promise<number> {
  const { columns: ends, rows } = packColumns({
    groupIds: stretches.map(({ groupDirectoryId }) => groupDirectoryId),
    afters: stretches.map(({ after }) => after),
    lasts: stretches.map(({ memberKeys, isLast }) => (isLast ? afterAllKeys : (memberKeys.at(-1) ?? null))),
  });
  const edges = packColumns({
    numbers: stretches.flatMap(({ memberKeys }, index) => memberKeys.map(() => `${index + 1}`)),
    memberKeys: stretches.flatMap(({ memberKeys }) => memberKeys),
  });
  // A walk along the unique index for each stretch, whatever statistics say: see stageUnchanged.
  const result = await db.raw<{ rowCount: number }>(
    `with stretch as materialized (
       select s.number, s.directory_id, coalesce(s.after_key, '') as after_key, s.last_key,
         (select g.id from groups g where g.directory = :directory and g.directory_id = s.directory_id) as group_id
       from unnest(:groupIds::text[], :afters::text[], :lasts::text[]) with ordinality
         as s (directory_id, after_key, last_key, number)
     ), listed as materialized (
       select * from unnest(:numbers::bigint[], :memberKeys::text[]) as listed (number, member_key)
     ), stored as materialized (
       select stretch.number, m.member_key
       from stretch
       cross join lateral (
         select member_key from group_members
         where group_id = stretch.group_id and member_key > stretch.after_key and member_key <= stretch.last_key
         offset 0) m
     )
     insert into staged_group_members (run_id, group_directory_id, member_key, joins)
     select :runId::uuid, stretch.directory_id, coalesce(listed.member_key, stored.member_key), stored.number is null
     from listed
     full join stored on stored.number = listed.number and stored.member_key = listed.member_key
     join stretch on stretch.number = coalesce(listed.number, stored.number)
     where listed.number is null or stored.number is null`,
    {
      runId: run.id,
      directory: run.directory,
      ...arrayLiterals({ rows, columns: ends }),
      ...arrayLiterals(edges),
    },
  );
  return result.rowCount;
}

// Every key begins with a lower-case letter.
const afterAllKeys = "~";

/** Bindings with the names of the columns. */
function arrayLiterals<Columns>({ rows, columns }: Packed<Columns>): Record<string, string> {
  return Object.fromEntries(
    Object.entries<string>(columns).map(([name, column]) => [name, arrayLiteral(column, rows)]),
  );
}

/** Reports unusable entries; what is known of them protects the users that they belong to (rule 8). */
export async function insertSkips(
  db: Database,
  run: StagingRun,
  { of, skipped }: { of: "users" | "groups"; skipped: SkippedEntry[] },
): Promise<void> {
  if (skipped.length === 0) return;
  const { columns, rows } = packColumns({
    dns: skipped.map((entry) => entry.dn),
    dnKeys: skipped.map((entry) => entry.dnKey),
    directoryIds: skipped.map((entry) => entry.directoryId),
    usernameKeys: skipped.map((entry) => entry.usernameKey),
    disabled: skipped.map((entry) => entry.disabled),
    reasons: skipped.map((entry) => entry.reason),
    details: skipped.map((entry) => entry.detail),
  });
  await db.raw(
    `insert into sync_skips (run_id, of_groups, dn, dn_key, directory_id, username_key, disabled, reason, detail)
     select :runId::uuid, :ofGroups::boolean, coalesce(page.dn, ''), page.dn_key, page.directory_id, page.username_key,
       page.disabled, page.reason, page.detail
     from unnest(:dns::text[], :dnKeys::text[], :directoryIds::text[], :usernameKeys::text[], :disabled::boolean[],
       :reasons::text[], :details::text[]) as page (dn, dn_key, directory_id, username_key, disabled, reason, detail)`,
    { runId: run.id, ofGroups: of === "groups", ...arrayLiterals({ columns, rows }) },
  );
}

/** How many rows of a run are in the store; `unchanged` counts the ids in its pages. */
export interface StagedRows {
  unchanged: number;
  entries: number;
  groups: number;
  edges: number;
  memberships: number;
  skips: number;
  changes: number;
}

export const nothingStaged: StagedRows = {
  unchanged: 0,
  entries: 0,
  groups: 0,
  edges: 0,
  memberships: 0,
  skips: 0,
  changes: 0,
};

/** To be compared, in the transaction that uses the rows, with what was put there. */
export async function countStaged(trx: Transaction, run: StagingRun): Promise<StagedRows> {
  const count = (table: string) => `(select count(*)::int from ${table} where run_id = :runId)`;
  const { rows } = await trx.raw<{ rows: StagedRows[] }>(
    `select
       (select coalesce(sum(cardinality(unchanged_ids)), 0)::int from staged_pages where run_id = :runId) as unchanged,
       ${count("staged_entries")} as entries, ${count("staged_groups")} as groups,
       ${count("staged_group_members")} as edges, ${count("staged_memberships")} as memberships,
       ${count("sync_skips")} as skips, ${count("sync_changes")} as changes`,
    { runId: run.id },
  );
  return rows[0] ?? nothingStaged;
}

const stagingTables = [
  "staged_pages",
  "staged_entries",
  "staged_groups",
  "staged_group_members",
  "staged_memberships",
];

/**
 * Keeps one row of every entry or group that was listed twice under one DN, as one is that lies below two bases. Which one does
 * not matter: the next run sees the entry as it is then.
 */
export async function dropDuplicates(
  trx: Transaction,
  run: StagingRun,
  of: "users" | "groups",
): Promise<void> {
  const { table, id } =
    of === "users" ? { table: "staged_entries", id: "user_id" } : { table: "staged_groups", id: "id" };
  await trx.raw(
    `delete from ${table} s where s.run_id = :runId and exists (
       select from ${table} other
       where other.run_id = :runId and other.directory_id = s.directory_id and other.${id} < s.${id})`,
    { runId: run.id },
  );
}

/**
 * Keeps of an older copy's listing what is new: no entry of a user who is stored, removed ones included, and no group. Returns
 * how many entries of either kind differ from what is stored.
 */
export async function dropKnown(trx: Transaction, run: StagingRun): Promise<number> {
  const { rows } = await trx.raw<{ rows: { count: number }[] }>(
    `with known as (
       delete from staged_entries s using users u
       where s.run_id = :runId and u.directory = :directory and u.directory_id = s.directory_id
       returning s.directory_id
     ), listed as (
       delete from staged_groups where run_id = :runId returning directory_id
     )
     select ((select count(*) from known) + (select count(*) from listed))::int as count`,
    { runId: run.id, directory: run.directory },
  );
  return rows[0]?.count ?? 0;
}

/**
 * Tells the database's planner how much is staged. Its statistics are of other runs, or of none: without this a large plan
 * can be joined row by row, and take hours.
 */
export async function analyzeStaging(trx: Transaction): Promise<void> {
  await trx.raw(
    `analyze staged_entries (run_id, directory_id, username_key), staged_pages (run_id),
       staged_groups (run_id, directory_id, dn_key), staged_group_members (run_id, group_directory_id, member_key)`,
  );
}

/** Drops what a listing that starts again has staged, the entries it could not use included. */
export async function resetStaging(db: Database, run: StagingRun): Promise<void> {
  await deleteStaging(db, run.id);
  await db("sync_skips").where({ run_id: run.id }).delete();
}

/**
 * Drops staging whose run has ended: of a process that ended, or one that went on for a while after its run was declared abandoned.
 */
export async function deleteLeftStaging(trx: Transaction): Promise<void> {
  for (const table of stagingTables) {
    await trx.raw(
      `delete from ${table} staged where not exists (
         select from sync_runs r where r.id = staged.run_id and r.status = 'running')`,
    );
  }
}

/** Drops a run's staging; its plan and its skips stay with the run. */
export async function deleteStaging(db: Database | Transaction, runId: string): Promise<void> {
  const deletions = stagingTables.map(
    (table) => `${table}_deleted as (delete from ${table} where run_id = :runId)`,
  );
  await db.raw(`with ${deletions.join(", ")} select`, { runId }); // at once: a reading of one user waits for each round trip
}
