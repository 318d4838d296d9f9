// The sync plan, made in the database from the staged listing and the stored users: what to add, change, restore, disable
// and remove, user by user with reasons. Writes only the run's own rows (sync_changes, sync_skips); never a user.

import type { Transaction } from "../store/database.ts";
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

/**
 * A condition on users `u`: the directory was asked for this one after the run had begun (rule 26), so that the listing may be
 * older. The run leaves such users as they are; the next one sees them.
 */
export const isFresher =
  "u.refreshed_at >= (select begun.started_at from sync_runs begun where begun.id = :id)";

/**
 * A condition: the listing names the stored row with this id, and nothing of it has changed. In `coalesce`, so that the ids are hashed
 * once; as a join they are read again for every row, since PostgreSQL expects few of them.
 */
export function isListedUnchanged(id: string, of: "users" | "groups"): string {
  return `coalesce(${id} in (
    select unnest(p.unchanged_ids) from staged_pages p where p.run_id = :id and p.of_groups = ${of === "groups"}), false)`;
}

// A user is in the listing when its entry is staged or unchanged, or when an unusable entry may be the user's (rule 8). An
// unusable entry whose id is known belongs to the user with that id, and to no other user of the same DN or name.
export const unlistedUsers = `
  from users u
  where u.directory = :directory and u.state <> 'removed' and (${isFresher}) is not true
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

// Only removals are looked at: a user whom the plan changes in another way is not removed.
export const removedByPlan = `exists (
  select from sync_changes c where c.run_id = :id and c.directory_id = u.directory_id and c.action = 'remove')`;

/**
 * The directory ids of users whose place in the directory the listing does not tell: it does not name them and the plan does not
 * remove them (they moved meanwhile, or more listings are waited for), or it names them by an unusable entry with another DN or
 * username than the stored one. Their memberships must not end because of what this listing says of groups.
 */
export const unplacedUsers = `
  select u.directory_id ${unlistedUsers} and not ${removedByPlan}
  union all
  select u.directory_id from sync_skips k
  join users u on u.directory = :directory
    and (u.directory_id = k.directory_id or k.directory_id is null and u.username_key = k.username_key)
  where k.run_id = :id and not k.of_groups
    and (k.dn_key is distinct from u.dn_key or k.username_key <> u.username_key)
    and not exists (select from staged_entries s where s.run_id = :id and s.directory_id = u.directory_id)`;

/**
 * Plans the removal of every user that the last `confirmRemovals` complete listings, this one included, do not
 * name; an approved run removes no one who was not in the approved plan. With `gone`,
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

/** Takes out of staging what the listing says of users who were read after the run had begun; returns how many. */
export async function unstageFresher(trx: Transaction, run: PlanRun): Promise<number> {
  const result = await trx.raw<{ rowCount: number }>(
    `delete from staged_entries s using users u
     where u.directory = :directory and ${isFresher} and s.run_id = :id and s.directory_id = u.directory_id`,
    { ...run },
  );
  return result.rowCount;
}

/** Ends the marks of users who were read before this run began: the run has listed them as they are. */
export async function settleRefreshed(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    `update users u set refreshed_at = null
     where u.directory = :directory and u.refreshed_at is not null and (${isFresher}) is not true`,
    { ...run },
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
 * Plans disables of users whose entries are skipped: that an entry says "disabled" counts even where the rest of it cannot be
 * used. Of several entries with one id, the one with the user's DN must say so, or all of them.
 */
export async function planDisablesOfSkipped(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    `insert into sync_changes (run_id, directory_id, user_id, action, username, dn, reasons, before, after)
     select :id::uuid, u.directory_id, u.id, 'disable', u.username, u.dn, array['disabled-in-directory', 'entry-skipped'],
       jsonb_build_object('state', u.state), jsonb_build_object('state', 'disabled')
     from sync_skips k
     join users u on u.directory = :directory and u.directory_id = k.directory_id and u.state = 'active'
     where k.run_id = :id and not k.of_groups
       and (${isFresher}) is not true
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

export type PlanCounts = Omit<RunCounts, "listed" | "unchanged">;

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
     where run_id = :id and action = 'change' and ${isListedUnchanged("user_id", "users")}`,
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
