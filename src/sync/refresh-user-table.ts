// Statements for one user who is read on demand: what is stored of the name, which groups the user gets into, and when the
// directory was asked. The plan and its application are those of a run.

import type { FoundGroup } from "../directory/user-question.ts";
import type { Database, Transaction } from "../store/database.ts";
import type { PlanRun } from "./plan-table.ts";

/** The database's time as text, whole to the microsecond, which a Date is not. */
export async function readDatabaseTime(db: Database): Promise<string> {
  const { rows } = await db.raw<{ rows: { time: string }[] }>("select clock_timestamp()::text as time");
  const time = rows[0]?.time;
  if (time === undefined) throw new Error("the database tells no time");
  return time;
}

// Live users of one name are one; removed ones may be many, of whom the last ones can come back.
const mostStored = 10;

/** Directory ids of the users, removed ones too, who have this name or alias in the directory. */
export async function listStoredIds(db: Database, directory: string, usernameKey: string): Promise<string[]> {
  // Live and removed users have an index of names each.
  const { rows } = await db.raw<{ rows: { directory_id: string }[] }>(
    `select directory_id from (
       select u.directory_id, u.removed_at from users u
       where u.directory = :directory and u.username_key = :usernameKey and u.state <> 'removed'
       union
       select u.directory_id, u.removed_at from users u
       where u.directory = :directory and u.username_key = :usernameKey and u.state = 'removed'
       union
       select u.directory_id, u.removed_at from user_aliases a join users u on u.id = a.user_id
       where u.directory = :directory and a.alias_key = :usernameKey
     ) named
     order by removed_at desc nulls first limit :most`,
    { directory, usernameKey, most: mostStored },
  );
  return rows.map((row) => row.directory_id);
}

/** Of these groups, those that no run has found yet. */
export async function withoutStored(
  trx: Transaction,
  directory: string,
  groups: readonly FoundGroup[],
): Promise<FoundGroup[]> {
  if (groups.length === 0) return [];
  const { rows } = await trx.raw<{ rows: { directory_id: string }[] }>(
    "select directory_id from groups where directory = :directory and directory_id = any(:ids::text[])",
    { directory, ids: groups.map(({ directoryId }) => directoryId) },
  );
  const stored = new Set(rows.map((row) => row.directory_id));
  return groups.filter(({ directoryId }) => !stored.has(directoryId));
}

/**
 * Stages the memberships that begin: of the groups that the directory named, and of those that are stored as listing the
 * user otherwise, such as a primary group, with all that those are in when `nested`. None ends: that is left to the next run,
 * which looks at users who were read on demand in any case.
 */
export async function planJoins(
  trx: Transaction,
  run: PlanRun,
  { found, nested }: { found: readonly { directoryId: string; groupDirectoryId: string }[]; nested: boolean },
): Promise<void> {
  await trx.raw(
    `with recursive named as (
       select n.directory_id, g.id as group_id
       from unnest(:users::text[], :groups::text[]) as n (directory_id, group_directory_id)
       join staged_entries s on s.run_id = :id and s.directory_id = n.directory_id
       join groups g on g.directory = :directory and g.directory_id = n.group_directory_id
     ), reached as (
       select s.directory_id, g.id as group_id, g.dn_key
       from staged_entries s
       cross join lateral unnest(array['dn:' || s.dn_key, 'uid:' || s.username_key, s.primary_group_key]) as own (key)
       join group_members m on m.member_key = own.key
       join groups g on g.id = m.group_id and g.directory = :directory
       where s.run_id = :id and (s.directory_id, g.id) not in (select directory_id, group_id from named)
       union
       select reached.directory_id, outer_group.id, outer_group.dn_key
       from reached
       join group_members m on m.member_key = 'dn:' || reached.dn_key
       join groups outer_group on outer_group.id = m.group_id and outer_group.directory = :directory
       where :nested
     ), wanted as (
       select directory_id, group_id from named union select directory_id, group_id from reached
     )
     insert into staged_memberships (run_id, directory_id, group_directory_id, joins)
     select :id::uuid, wanted.directory_id, g.directory_id, true
     from wanted join groups g on g.id = wanted.group_id
     where not exists (
       select from users u join user_groups ug on ug.user_id = u.id and ug.group_id = wanted.group_id
       where u.directory = :directory and u.directory_id = wanted.directory_id)`,
    {
      ...run,
      nested,
      users: found.map(({ directoryId }) => directoryId),
      groups: found.map(({ groupDirectoryId }) => groupDirectoryId),
    },
  );
}

/** True when any of the users was read since `time`: what was read at that time is not news any more. */
export async function wereReadSince(
  trx: Transaction,
  directory: string,
  { ids, time }: { ids: readonly string[]; time: string },
): Promise<boolean> {
  const { rows } = await trx.raw<{ rows: { found: boolean }[] }>(
    `select exists (
       select from users where directory = :directory and directory_id = any(:ids::text[])
         and refreshed_at > :time::timestamptz) as found`,
    { directory, ids, time },
  );
  return rows[0]?.found ?? false;
}

/** Notes when the directory was asked for these users, and returns their ids. */
export async function noteRead(
  trx: Transaction,
  directory: string,
  { ids, time }: { ids: readonly string[]; time: string },
): Promise<string[]> {
  const { rows } = await trx.raw<{ rows: { id: string }[] }>(
    `update users set refreshed_at = :time::timestamptz
     where directory = :directory and directory_id = any(:ids::text[]) returning id`,
    { directory, ids, time },
  );
  return rows.map(({ id }) => id);
}

/** Takes entries that are as they are stored out of staging, once their clashes and groups have been looked at; returns how many. */
export async function unstageUnchanged(trx: Transaction, run: PlanRun): Promise<number> {
  const result = await trx.raw<{ rowCount: number }>(
    `delete from staged_entries s using users u
     where s.run_id = :id and u.directory = :directory and u.directory_id = s.directory_id
       and u.entry_hash = s.entry_hash and u.state <> 'removed'`,
    { ...run },
  );
  return result.rowCount;
}

/** Why entries cannot be used. */
export async function listOwnSkips(trx: Transaction, run: PlanRun): Promise<string[]> {
  const { rows } = await trx.raw<{ rows: { reason: string }[] }>(
    `select reason from sync_skips where run_id = :id and reason <> 'attribute-left-out' order by id`,
    { ...run },
  );
  return rows.map(({ reason }) => reason);
}
