// Entries of one listing that claim the same id or the same name (rules 3 and 8): found, told of, and taken out of staging, so
// that what is planned after it has no clash in it. Never touches a user.

import type { Transaction } from "../store/database.ts";
import type { ContestedClaim } from "./decide-name-clashes.ts";
import { isListedUnchanged, type PlanRun } from "./plan-table.ts";

// In reports: how many other entries are named, and how much of a DN. Thousands may share one name or id, and each of them is
// told of the others.
const mostNamed = 3;
const longestNamed = 300;

/** SQL of up to `mostNamed` of `dns`, other than `dn`, and how many more there are of `count` entries in all. */
function othersOf(dns: string, dn: string, count: string): string {
  const named = `(array_remove(${dns}, left(${dn}, ${longestNamed})))[1:${mostNamed}]`;
  return `array_to_string(${named}, ', ') ||
    case when ${count} - 1 > ${mostNamed} then format(' and %s more', ${count} - 1 - ${mostNamed}) else '' end`;
}

const clashTables = {
  users: { staged: "staged_entries", disabled: "disabled", storedDisabled: "stored.state = 'disabled'" },
  groups: { staged: "staged_groups", disabled: "null::boolean", storedDisabled: "null::boolean" },
} as const;

/** Whether no two staged entries of users have one directory id, or one username. False also where that is not known. */
export interface Distinct {
  ids: boolean;
  names: boolean;
}

export const notKnownDistinct: Distinct = { ids: false, names: false };

/** By hashes, in one pass, which takes a fifth of what it takes to name those that come twice. So false may be wrong, and true is not. */
export async function findDistinct(trx: Transaction, run: PlanRun): Promise<Distinct> {
  const distinct = (column: string) =>
    `count(distinct hashtextextended(${column}, 0)) = count(*) as "${column}"`;
  const { rows } = await trx.raw<{ rows: { directory_id: boolean; username_key: boolean }[] }>(
    `select ${distinct("directory_id")}, ${distinct("username_key")} from staged_entries where run_id = :id`,
    { ...run },
  );
  return { ids: rows[0]?.directory_id ?? false, names: rows[0]?.username_key ?? false };
}

/**
 * SQL of `repeated`: the directory ids that the listing names more than once, and whether under different DNs; of `shared`, those under
 * different DNs; and of `every_claim` to an id. With `besides` only of staged entries that meet this condition.
 */
function sharedIds(of: keyof typeof clashTables, besides = "true"): string {
  const { staged, disabled, storedDisabled } = clashTables[of];
  const ofGroups = of === "groups";
  return `claim as materialized (
       select directory_id, dn, dn_key, ${disabled} as disabled, 'staged' as source from ${staged}
       where run_id = :id and ${besides}
       union all
       select directory_id, dn, coalesce(dn_key, ''), disabled, 'skipped' from sync_skips
       where run_id = :id and of_groups = ${ofGroups} and directory_id is not null
     ), every_claim as materialized (
       select * from claim
       union all
       select stored.directory_id, stored.dn, stored.dn_key, ${storedDisabled}, 'unchanged'
       from ${of} stored
       where stored.directory = :directory and stored.directory_id in (select directory_id from claim)
         and ${isListedUnchanged("stored.id", of)}
     ), repeated as materialized (
       select directory_id, min(dn_key) <> max(dn_key) as differs from every_claim group by directory_id having count(*) > 1
     ), shared as (
       select directory_id from repeated where differs
     )`;
}

export interface RepeatedIds {
  /** Several entries have them, under different DNs; up to `most`, and one more to tell that there are. */
  shared: string[];
  /** Whether any id of a user is listed more than once, under one DN too. */
  isAny: boolean;
}

// Where staged ids are distinct and no entry is unchanged, an id that is listed twice is one of an entry that is skipped.
const isSkippedToo = `directory_id in (
  select directory_id from sync_skips where run_id = :id and not of_groups and directory_id is not null)`;

/** Directory ids of users that the listing names more than once. `distinct` must be false where entries are noted as unchanged. */
export async function findRepeatedIds(
  trx: Transaction,
  run: PlanRun,
  { most, distinct }: { most: number; distinct: boolean },
): Promise<RepeatedIds> {
  const { rows } = await trx.raw<{ rows: { directory_id: string; differs: boolean }[] }>(
    `with ${sharedIds("users", distinct ? isSkippedToo : undefined)} select * from repeated order by differs desc limit :most + 1`,
    { ...run, most },
  );
  return {
    shared: rows.filter(({ differs }) => differs).map((row) => row.directory_id),
    isAny: rows.length > 0,
  };
}

/** An entry that was listed under several DNs, and where the directory says that it is. */
export interface MovedEntry {
  directoryId: string;
  dnKey: string;
}

/** Keeps of entries that moved while they were listed the row of where they are now. */
export async function unstageMoved(trx: Transaction, run: PlanRun, moved: MovedEntry[]): Promise<void> {
  await trx.raw(
    `delete from staged_entries s using unnest(:ids::text[], :dnKeys::text[]) as moved (directory_id, dn_key)
     where s.run_id = :id and s.directory_id = moved.directory_id and s.dn_key <> moved.dn_key`,
    {
      ...run,
      ids: moved.map(({ directoryId }) => directoryId),
      dnKeys: moved.map(({ dnKey }) => dnKey),
    },
  );
}

/**
 * Skips all entries that share a directory id, under different DNs, and reports them with each other: which of them is the
 * user cannot be told, so the user stays as it is stored. Not those that `moved`. Returns how many of the skipped ones were
 * counted as unchanged. An entry that was listed twice under one DN is one entry, of which any row will do: see dropDuplicates.
 */
export async function skipIdClashes(
  trx: Transaction,
  run: PlanRun,
  { of, moved }: { of: keyof typeof clashTables; moved: MovedEntry[] },
): Promise<number> {
  const { staged } = clashTables[of];
  const { rows } = await trx.raw<{ rows: { unchanged: number }[] }>(
    `with ${sharedIds(of)}, ranked as materialized (
       select c.*, row_number() over (partition by c.directory_id order by c.dn_key) as rank,
         count(*) over (partition by c.directory_id) as count
       from (
         select distinct on (e.directory_id, e.dn_key) e.* from every_claim e
         join shared on shared.directory_id = e.directory_id
         where not e.directory_id = any(:moved::text[])
         order by e.directory_id, e.dn_key, e.source desc
       ) c
     ), told as materialized (
       select directory_id, array_agg(left(dn, ${longestNamed}) order by rank) as dns from ranked
       where rank <= ${mostNamed + 1} group by directory_id
     ), unstaged as (
       delete from ${staged} s using told where s.run_id = :id and s.directory_id = told.directory_id
     ), reported as (
       insert into sync_skips (run_id, of_groups, dn, dn_key, directory_id, disabled, reason, detail)
       select :id::uuid, :ofGroups, ranked.dn, ranked.dn_key, directory_id, ranked.disabled, 'id-clash',
         format('The directory id %s of %s is also that of %s; all of them are skipped.',
           directory_id, ranked.dn, ${othersOf("told.dns", "ranked.dn", "ranked.count")})
       from ranked join told using (directory_id) where ranked.source <> 'skipped'
     )
     select count(*) filter (where source = 'unchanged')::int as unchanged from ranked`,
    { ...run, ofGroups: of === "groups", moved: moved.map(({ directoryId }) => directoryId) },
  );
  return rows[0]?.unchanged ?? 0;
}

/** Of the members of groups that are skipped for their ids: nothing is said of those groups. */
export async function unstageSkippedMembers(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    `delete from staged_group_members m using sync_skips k
     where m.run_id = :id and k.run_id = :id and k.of_groups and k.reason = 'id-clash'
       and k.directory_id = m.group_directory_id`,
    { ...run },
  );
}

// The live user, other than the entry's own, that holds the name an entry claims and is not removed by this plan.
const holder = `holder as materialized (
       select s.directory_id, s.username_key, u.directory_id as holder_id, u.dn as holder_dn
       from staged_entries s
       join users u on u.directory = :directory and u.username_key = s.username_key and u.state <> 'removed'
       where s.run_id = :id and u.directory_id <> s.directory_id
         and not exists (
           select from sync_changes c where c.run_id = :id and c.directory_id = u.directory_id and c.action = 'remove')
     )`;

// The entries whose name another entry claims as well.
const sharedNames = `repeated as materialized (
       select username_key, count(*)::int as count from staged_entries where run_id = :id
       group by username_key having count(*) > 1
     ), shared as materialized (
       select s.directory_id, s.dn, s.username_key, repeated.count,
         row_number() over (partition by s.username_key order by s.dn) as rank,
         exists (
           select from users u where u.directory = :directory and u.directory_id = s.directory_id
             and u.state <> 'removed' and u.username_key = s.username_key) as holds
       from repeated join staged_entries s on s.run_id = :id and s.username_key = repeated.username_key
     )`;

/**
 * Entries whose name is contested; none in most runs. Needs the removals to be planned, since they set names free. With
 * `distinct` no two entries claim one name, and only names that users hold are looked at.
 */
export async function listContestedClaims(
  trx: Transaction,
  run: PlanRun,
  { distinct }: { distinct: boolean },
): Promise<ContestedClaim[]> {
  const { rows } = await trx.raw<{ rows: ContestedClaim[] }>(
    `with ${holder} ${distinct ? "" : `, ${sharedNames}`}
     select holder.directory_id as "directoryId", holder.holder_id as "holderId",
       -- The user that holds the name is not in the listing, or is listed with it.
       listed.username_key is null or listed.username_key = holder.username_key as loses
     from holder
     left join staged_entries listed on listed.run_id = :id and listed.directory_id = holder.holder_id
     ${distinct ? "" : "union all select directory_id, null, not holds from shared"}`,
    { ...run },
  );
  return rows;
}

/** Skips entries that lose their names; each is told who keeps the name, or that all who claim it are skipped. */
export async function skipNameClashes(trx: Transaction, run: PlanRun, losing: string[]): Promise<void> {
  await trx.raw(
    `with ${holder}, ${sharedNames}, told as materialized (
       select username_key, array_agg(left(dn, ${longestNamed}) order by rank) as dns from shared
       where rank <= ${mostNamed + 1} group by username_key
     ), unstaged as (
       delete from staged_entries s using (select unnest(:losing::text[]) as directory_id) l
       where s.run_id = :id and s.directory_id = l.directory_id
       returning s.directory_id, s.username, s.username_key, s.dn, s.dn_key, s.disabled
     )
     insert into sync_skips (run_id, dn, dn_key, directory_id, disabled, reason, detail)
     select :id::uuid, u.dn, u.dn_key, u.directory_id, u.disabled, 'username-clash',
       case when holder.holder_id is not null
         then format('The username %s of %s is also that of %s, which keeps it.', u.username, u.dn, holder.holder_dn)
         else format('The username %s of %s is also that of %s; no user has it yet, so all of them are skipped.',
           u.username, u.dn, ${othersOf("told.dns", "u.dn", "shared.count")})
       end
     from unstaged u
     left join holder on holder.directory_id = u.directory_id
     left join shared on shared.directory_id = u.directory_id
     left join told on told.username_key = u.username_key`,
    { ...run, losing },
  );
}
