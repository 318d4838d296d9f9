// The sync plan, made in the database from the staged listing and the stored users: what to add, change, restore, disable
// and remove, user by user with reasons. Writes only the run's own rows (sync_changes, sync_skips); never a user.

import type { Transaction } from "../store/database.ts";
import type { ContestedClaim } from "./decide-name-clashes.ts";
import type { RunCounts } from "./sync-run.ts";

/** What the planning statements need to know of the run. */
export interface PlanRun {
  id: string;
  directory: string;
  /** The held run whose removals were approved; null for any other run. */
  approves: string | null;
  /** The run with which the approved plan is kept: the approved one, or an earlier one with an equal plan. */
  approvedPlan: string | null;
}

// A user is in the listing when it is staged, unchanged, or an unusable entry may be its own (rule 8). An unusable entry whose
// id is known is that id's alone: under the DN or the name of a user it is another entry in that one's place.
const unlistedUsers = `
  from users u
  where u.directory = :directory and u.state <> 'removed'
    and not exists (select from staged_entries s where s.run_id = :id and s.directory_id = u.directory_id)
    and not exists (
      select from staged_pages p cross join lateral unnest(p.unchanged_ids) as kept (id)
      where p.run_id = :id and kept.id = u.id)
    and not exists (
      select from sync_skips k where k.run_id = :id and not k.of_groups and k.directory_id = u.directory_id)
    and not exists (
      select from sync_skips k
      where k.run_id = :id and not k.of_groups and k.directory_id is null and k.dn_key = u.dn_key)
    and not exists (
      select from sync_skips k
      where k.run_id = :id and not k.of_groups and k.directory_id is null and k.username_key = u.username_key)`;

// What else the plan says of a user, such as another group, does not name it.
const removedByPlan = `exists (
  select from sync_changes c where c.run_id = :id and c.directory_id = u.directory_id and c.action = 'remove')`;

/**
 * Plans the removal of every user that the complete listing does not name, and that as many listings before it have not
 * named as make `confirmRemovals` with this one; an approved run removes no one who was not in the approved plan. With `gone`
 * only users with these directory ids. Returns how many.
 */
export async function planRemovals(
  trx: Transaction,
  run: PlanRun,
  { confirmRemovals, gone }: { confirmRemovals: number; gone: string[] | undefined },
): Promise<number> {
  const result = await trx.raw<{ rowCount: number }>(
    `insert into sync_changes (run_id, directory_id, user_id, action, username, dn, reasons)
     select :id::uuid, u.directory_id, u.id, 'remove', u.username, u.dn, array['not-in-directory']
     ${unlistedUsers}
       and (:gone::text[] is null or u.directory_id = any(:gone::text[]))
       and (:confirmRemovals = 1 or exists (
         select from user_absences a where a.user_id = u.id and a.listings >= :confirmRemovals - 1))
       and (:approvedPlan::uuid is null or exists (
         select from sync_changes c where c.run_id = :approvedPlan and c.directory_id = u.directory_id and c.action = 'remove'
       ))`,
    { ...run, confirmRemovals, gone: gone ?? null },
  );
  return result.rowCount;
}

/** Takes the planned removals out of the plan again, and returns their directory ids. */
export async function takeBackRemovals(trx: Transaction, run: PlanRun): Promise<string[]> {
  const rows = await trx("sync_changes")
    .where({ run_id: run.id, action: "remove" })
    .delete()
    .returning<{ directory_id: string }[]>("directory_id");
  return rows.map((row) => row.directory_id);
}

/** Users that the listing does not name and the plan does not remove. */
export async function countUnlistedKept(trx: Transaction, run: PlanRun): Promise<number> {
  const { rows } = await trx.raw<{ rows: { count: number }[] }>(
    `select count(*)::int as count ${unlistedUsers} and not ${removedByPlan}`,
    { ...run },
  );
  return rows[0]?.count ?? 0;
}

/**
 * Counts, for every user that the listing does not name and the plan does not remove, one more listing in a row, and forgets
 * the counts of all others. `anew` begins all counts with this listing, as after a change of server.
 */
export async function countAbsences(trx: Transaction, run: PlanRun, anew: boolean): Promise<void> {
  await trx.raw(
    `with missing as (
       select u.id ${unlistedUsers} and not ${removedByPlan}
     ), back as (
       delete from user_absences a using users u
       where a.user_id = u.id and u.directory = :directory and a.user_id not in (select id from missing)
     )
     insert into user_absences (user_id, listings) select id, 1 from missing
     on conflict (user_id) do update set listings = case when :anew then 1 else user_absences.listings + 1 end`,
    { ...run, anew },
  );
}

/**
 * Forgets the counts of users whom the listing names. For a held run, which changes nothing else: the listing was complete, and
 * whoever is in it has not been missing in a row.
 */
export async function forgetAbsencesOfListed(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    `delete from user_absences a using users listed
     where a.user_id = listed.id and listed.directory = :directory and listed.id not in (select u.id ${unlistedUsers})`,
    { ...run },
  );
}

/** Forgets all counts of the directory, for one that removes at once. */
export async function forgetAbsences(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    "delete from user_absences a using users u where a.user_id = u.id and u.directory = :directory",
    { ...run },
  );
}

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

/** SQL of `shared`: the directory ids under which the listing names more than one DN, and of `every_claim` to them. */
function sharedIds(of: keyof typeof clashTables): string {
  const { staged, disabled, storedDisabled } = clashTables[of];
  const ofGroups = of === "groups";
  return `claim as materialized (
       select directory_id, dn, dn_key, ${disabled} as disabled, 'staged' as source from ${staged} where run_id = :id
       union all
       select directory_id, dn, coalesce(dn_key, ''), disabled, 'skipped' from sync_skips
       where run_id = :id and of_groups = ${ofGroups} and directory_id is not null
     ), every_claim as materialized (
       select * from claim
       union all
       select stored.directory_id, stored.dn, stored.dn_key, ${storedDisabled}, 'unchanged'
       from ${of} stored
       where stored.directory = :directory and stored.directory_id in (select directory_id from claim)
         and stored.id in (
           select unnest(p.unchanged_ids) from staged_pages p where p.run_id = :id and p.of_groups = ${ofGroups})
     ), shared as materialized (
       select directory_id from every_claim group by directory_id having min(dn_key) <> max(dn_key)
     )`;
}

/** Directory ids that several entries of the listing have, under different DNs; up to `most`, and one more to tell that there are. */
export async function listSharedIds(trx: Transaction, run: PlanRun, most: number): Promise<string[]> {
  const { rows } = await trx.raw<{ rows: { directory_id: string }[] }>(
    `with ${sharedIds("users")} select directory_id from shared limit :most + 1`,
    { ...run, most },
  );
  return rows.map((row) => row.directory_id);
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

// The live user, other than the entry's own, that holds the name an entry claims and is not removed by this plan; and the entries
// whose name another entry claims as well.
const contested = `holder as materialized (
       select s.directory_id, s.username_key, u.directory_id as holder_id, u.dn as holder_dn, held.username_key as listed_key
       from staged_entries s
       join users u on u.directory = :directory and u.username_key = s.username_key and u.state <> 'removed'
       left join staged_entries held on held.run_id = :id and held.directory_id = u.directory_id
       where s.run_id = :id and u.directory_id <> s.directory_id
         and not exists (
           select from sync_changes c where c.run_id = :id and c.directory_id = u.directory_id and c.action = 'remove')
     ), repeated as materialized (
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

/** Entries whose name is contested; none in most runs. Needs the removals to be planned, since they set names free. */
export async function listContestedClaims(trx: Transaction, run: PlanRun): Promise<ContestedClaim[]> {
  const { rows } = await trx.raw<{ rows: ContestedClaim[] }>(
    `with ${contested}
     select directory_id as "directoryId", holder_id as "holderId",
       -- The user that holds the name is not in the listing, or is listed with it.
       listed_key is null or listed_key = username_key as loses
     from holder
     union all
     select directory_id, null, not holds from shared`,
    { ...run },
  );
  return rows;
}

/** Skips entries that lose their names; each is told who keeps the name, or that all who claim it are skipped. */
export async function skipNameClashes(trx: Transaction, run: PlanRun, losing: string[]): Promise<void> {
  await trx.raw(
    `with ${contested}, told as materialized (
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

// What can differ between the stored user and the entry: reason, name in before/after, stored value, listed value.
const comparedFields = [
  ["username-changed", "username", "u.username", "s.username"],
  ["display-name-changed", "displayName", "u.display_name", "s.display_name"],
  ["email-changed", "email", "u.email", "s.email"],
  ["moved", "dn", "u.dn", "s.dn"],
  ["aliases-changed", "aliases", "u.alias_keys", "s.alias_keys"],
  ["primary-group-changed", "primaryGroup", "u.primary_group_key", "s.primary_group_key"],
] as const;

const changedReasons = comparedFields
  .map(([reason, , stored, listed]) => `case when ${stored} is distinct from ${listed} then '${reason}' end`)
  .join(", ");

/** The fields that differ, as a JSON object with the values of `side`: 2 the stored ones, 3 the listed ones. */
function changedFields(side: 2 | 3): string {
  const pairs = comparedFields
    .map(
      (field) =>
        `case when ${field[2]} is distinct from ${field[3]} then jsonb_build_object('${field[1]}', ${field[side]}) end`,
    )
    .map((pair) => `coalesce(${pair}, '{}'::jsonb)`);
  return pairs.join(" || ");
}

// A new entry with the name of a user who is removed by now, or will be by this plan (rule 2): the person may be the same.
const nameOfRemoved = `exists (
  select from users u where u.directory = :directory and u.username_key = s.username_key and u.state = 'removed')
  or exists (
    select from users u join sync_changes c on c.run_id = :id and c.directory_id = u.directory_id and c.action = 'remove'
    where u.directory = :directory and u.username_key = s.username_key and u.state <> 'removed')`;

// Whether a staged entry `s` leaves its user disabled. Where the directory does not say, the state stays as it is stored, and who
// is not an active user does not become one: not knowing is never "enabled".
export const staysDisabled = "coalesce(s.disabled, u.state <> 'active')";
export const isNewDisabled = "coalesce(s.disabled, true)";

/** Plans adds, changes, restores and disables from what is still staged. */
export async function planChanges(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    `insert into sync_changes (run_id, directory_id, user_id, action, username, dn, reasons)
     select :id::uuid, s.directory_id, s.user_id, 'add', s.username, s.dn,
       array_remove(array[
         'new-in-directory',
         case when s.disabled then 'disabled-in-directory' when s.disabled is null then 'state-unknown' end,
         case when ${nameOfRemoved} then 'known-username' end
       ], null)
     from staged_entries s
     where s.run_id = :id
       and not exists (select from users u where u.directory = :directory and u.directory_id = s.directory_id)`,
    { ...run },
  );
  await trx.raw(
    `insert into sync_changes (run_id, directory_id, user_id, action, username, dn, reasons, before, after)
     select :id::uuid, s.directory_id, u.id,
       case when u.state = 'removed' then 'restore' when s.disabled and u.state = 'active' then 'disable'
         else 'change' end,
       s.username, s.dn,
       coalesce(nullif(array_remove(array[
         case when u.state = 'removed' then 'in-directory-again' end,
         case when s.disabled and u.state <> 'disabled' then 'disabled-in-directory' end,
         case when not s.disabled and u.state = 'disabled' then 'enabled-in-directory' end,
         case when s.disabled is null then 'state-unknown' end,
         ${changedReasons}
       ], null), '{}'), array['mapping-changed']),
       jsonb_build_object('state', u.state) || ${changedFields(2)},
       jsonb_build_object('state', case when ${staysDisabled} then 'disabled' else 'active' end) || ${changedFields(3)}
     from staged_entries s
     join users u on u.directory = :directory and u.directory_id = s.directory_id
     where s.run_id = :id`,
    { ...run },
  );
}

/**
 * Plans disables of users whose entries are skipped: what an entry says of its user's state counts even where the rest of it
 * cannot be used. Of several entries with one id the one in the user's place says it, or all of them do.
 */
export async function planDisablesOfSkipped(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    `insert into sync_changes (run_id, directory_id, user_id, action, username, dn, reasons, before, after)
     select :id::uuid, u.directory_id, u.id, 'disable', u.username, u.dn, array['disabled-in-directory', 'entry-skipped'],
       jsonb_build_object('state', u.state), jsonb_build_object('state', 'disabled')
     from sync_skips k
     join users u on u.directory = :directory and u.directory_id = k.directory_id and u.state = 'active'
     where k.run_id = :id and not k.of_groups
       and not exists (select from staged_entries s where s.run_id = :id and s.directory_id = u.directory_id)
     group by u.id
     having bool_and(coalesce(k.disabled, false)) or bool_or(k.disabled and k.dn_key = u.dn_key)`,
    { ...run },
  );
}

/** As analyzeStaging, for the plan: applying it joins it with what is staged. */
export async function analyzePlan(trx: Transaction): Promise<void> {
  await trx.raw("analyze sync_changes (run_id, directory_id, user_id, action)");
}

type PlanCounts = Omit<RunCounts, "listed" | "unchanged">;

/** How many users the plan adds, changes, restores, disables and removes, and how many entries are skipped. */
export async function countPlan(trx: Transaction, run: PlanRun): Promise<PlanCounts> {
  const { rows } = await trx.raw<{ rows: PlanCounts[] }>(
    `select
       count(*) filter (where action = 'add')::int as added,
       count(*) filter (where action = 'change')::int as changed,
       count(*) filter (where action = 'restore')::int as restored,
       count(*) filter (where action = 'disable')::int as disabled,
       count(*) filter (where action = 'remove')::int as removed,
       (select count(*)::int from sync_skips
        where run_id = :id and not of_groups and reason <> 'attribute-left-out') as skipped
     from sync_changes where run_id = :id`,
    { ...run },
  );
  return rows[0] ?? { added: 0, changed: 0, restored: 0, disabled: 0, removed: 0, skipped: 0 };
}

/** Users whose entries are unchanged and whom the plan changes all the same, by their groups: they count once. */
export async function countUnchangedInPlan(trx: Transaction, run: PlanRun): Promise<number> {
  const { rows } = await trx.raw<{ rows: { count: number }[] }>(
    `select count(*)::int as count from sync_changes
     where run_id = :id and action = 'change' and user_id in (
       select unnest(p.unchanged_ids) from staged_pages p where p.run_id = :id and not p.of_groups)`,
    { ...run },
  );
  return rows[0]?.count ?? 0;
}

/** Groups of the listing that cannot be used. */
export async function countSkippedGroups(trx: Transaction, run: PlanRun): Promise<number> {
  const { rows } = await trx.raw<{ rows: { count: number }[] }>(
    "select count(*)::int as count from sync_skips where run_id = :id and of_groups",
    { ...run },
  );
  return rows[0]?.count ?? 0;
}

/**
 * SHA-256 over the plan's lines in the order of their directory ids, for the run's one audit event (rule 24). Equal plans have
 * equal ones: the id that a new user would get is not in it.
 */
export async function digestPlan(trx: Transaction, run: PlanRun): Promise<string> {
  const { rows } = await trx.raw<{ rows: { digest: string }[] }>(
    `select encode(sha256(convert_to(coalesce(string_agg(
       row(action, directory_id, case when action <> 'add' then user_id end, reasons, username, dn, before, after)::text, e'\\n' order by directory_id collate "C"), ''), 'UTF8')), 'hex') as digest
     from sync_changes where run_id = :id`,
    { ...run },
  );
  return rows[0]?.digest ?? "";
}

/** Stored groups of the directory before the run, for the limits. */
export async function countStoredGroups(trx: Transaction, run: PlanRun): Promise<number> {
  const { rows } = await trx.raw<{ rows: { count: number }[] }>(
    "select count(*)::int as count from groups where directory = :directory",
    { ...run },
  );
  return rows[0]?.count ?? 0;
}
