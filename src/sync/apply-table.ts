// Applies a plan: the only statements that add, change, restore, disable or remove users and groups. All of them run in
// one transaction (rule 5), set-based: their number does not depend on the number of users.

import type { Transaction } from "../store/database.ts";
import type { MfaPolicy } from "../users/policy.ts";
import type { UserScope } from "../users/requirements-table.ts";
import { groupIsStaged, groupStays } from "./plan-groups-table.ts";
import { isNewDisabled, type PlanRun, staysDisabled } from "./plan-table.ts";

/** Marks users as removed. Their authenticators and flags stay (rule 7). */
export async function removeUsers(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    `update users u set state = 'removed', removed_at = now(), changed_at = now()
     from sync_changes c where c.run_id = :id and c.action = 'remove' and u.id = c.user_id`,
    { ...run },
  );
}

/**
 * Sets the names free of all users that get another one, so that users may swap names in one run (rule 1): the unique
 * index is checked row by row. The stand-in begins with a control character, which no username can contain.
 */
export async function vacateUsernames(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    `update users u set username_key = e'\\u0001' || u.id
     from staged_entries s
     where s.run_id = :id and u.directory = :directory and u.directory_id = s.directory_id
       and u.state <> 'removed' and u.username_key <> s.username_key`,
    { ...run },
  );
}

/** Takes the locks of the users that the plan restores; returns how many there still are, since a purge may have come first. */
export async function lockRestored(trx: Transaction, run: PlanRun): Promise<number> {
  const { rows } = await trx.raw<{ rows: unknown[] }>(
    `select from users u join sync_changes c on c.user_id = u.id
     where c.run_id = :id and c.action = 'restore' for no key update of u`,
    { ...run },
  );
  return rows.length;
}

/** Gives known users what their entries say now; restores removed ones with all they had. */
export async function updateUsers(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    `update users u set
       username = s.username, username_key = s.username_key, display_name = s.display_name, email = s.email,
       dn = s.dn, dn_key = s.dn_key, alias_keys = s.alias_keys,
       primary_group_key = s.primary_group_key, entry_hash = s.entry_hash,
       state = case when ${staysDisabled} then 'disabled' else 'active' end, removed_at = null, changed_at = now()
     from staged_entries s
     where s.run_id = :id and u.directory = :directory and u.directory_id = s.directory_id`,
    { ...run },
  );
}

/**
 * Disables users whose skipped entries say that they are disabled. The digest is deleted, so that the entry counts as changed once
 * it can be used again, even if it then equals what is stored.
 */
export async function disableSkippedUsers(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    `update users u set state = 'disabled', entry_hash = '', changed_at = now()
     from sync_changes c
     where c.run_id = :id and c.action = 'disable' and u.id = c.user_id and u.state = 'active'
       and not exists (select from staged_entries s where s.run_id = :id and s.directory_id = u.directory_id)`,
    { ...run },
  );
}

/**
 * Inserts the new users. `requiredNewUser` is rule 12's flag, decided here once. A requirement of the whole organization or
 * directory begins with the insert; one of a group begins in `refreshRequirements`, when the groups are known.
 */
export async function insertUsers(
  trx: Transaction,
  run: PlanRun,
  flags: { requiredNewUser: boolean; policy: MfaPolicy },
): Promise<void> {
  const { policy, requiredNewUser } = flags;
  const { rows: known } = await trx.raw<{ rows: unknown[] }>(
    "select from users where directory = :directory limit 1",
    { directory: run.directory },
  );
  // Left out where there is none: PostgreSQL plans for a table that was vacuumed while it was empty as if it stayed so, and would read
  // all users that this statement has inserted again for each one that it inserts.
  const isNew = `not exists (select from users u where u.directory = :directory and u.directory_id = s.directory_id)`;
  const reasons = [
    ...(policy.organization ? ["organization"] : []),
    ...(policy.directories.includes(run.directory) ? ["directory"] : []),
    ...(requiredNewUser ? ["new-user"] : []),
  ];
  await trx.raw(
    `insert into users (id, directory, directory_id, username, username_key, display_name, email, dn, dn_key, alias_keys,
       primary_group_key, entry_hash, state, required_new_user, required_since, enrollment_deadline, graces)
     select s.user_id, :directory, s.directory_id, s.username, s.username_key, s.display_name, s.email, s.dn, s.dn_key,
       s.alias_keys, s.primary_group_key, s.entry_hash, case when ${isNewDisabled} then 'disabled' else 'active' end, :requiredNewUser,
       case when :required then now() end,
       case when :required then now() + :graceMs * interval '1 millisecond' end,
       case when :required then (
         select jsonb_object_agg(reason, now() + :graceMs * interval '1 millisecond') from unnest(:reasons::text[]) as reason) end
     from staged_entries s
     where s.run_id = :id and ${known.length > 0 ? isNew : "true"}`,
    {
      ...run,
      requiredNewUser,
      required: reasons.length > 0,
      reasons,
      graceMs: policy.graceMs,
    },
  );
}

/** Makes the aliases of all staged users what their entries say. */
export async function replaceAliases(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    `delete from user_aliases a using users u, staged_entries s
     where s.run_id = :id and u.directory = :directory and u.directory_id = s.directory_id and a.user_id = u.id`,
    { ...run },
  );
  await trx.raw(
    `insert into user_aliases (alias_key, user_id)
     select alias.key, u.id
     from staged_entries s
     join users u on u.directory = :directory and u.directory_id = s.directory_id
     cross join lateral jsonb_array_elements_text(s.alias_keys::jsonb) as alias (key)
     where s.run_id = :id and s.alias_keys is not null
     on conflict do nothing`,
    { ...run },
  );
}

// The ids of a staged membership `m`. One look into each unique index a row: a join would be planned from statistics of before
// this transaction, which know nothing of the users and groups that it has just inserted.
const memberIds = `
  (select u.id from users u where u.directory = :directory and u.directory_id = m.directory_id),
  (select g.id from groups g where g.directory = :directory and g.directory_id = m.group_directory_id)`;

/**
 * Adds what the listing says of groups to what is stored, and takes nothing away. A known group that differs loses its digest,
 * so that the next listing is compared with it in full.
 */
export async function addToGroups(trx: Transaction, run: PlanRun): Promise<void> {
  const bindings = { ...run };
  await trx.raw(
    `insert into groups (directory, directory_id, name, name_key, dn, dn_key, entry_hash)
     select :directory, directory_id, name, name_key, dn, dn_key, entry_hash from staged_groups where run_id = :id
     on conflict (directory, directory_id) do update set name = excluded.name, name_key = excluded.name_key,
       dn = excluded.dn, dn_key = excluded.dn_key, entry_hash = ''`,
    bindings,
  );
  await trx.raw(
    `insert into group_members (group_id, member_key)
     select g.id, m.member_key from staged_group_members m
     join groups g on g.directory = :directory and g.directory_id = m.group_directory_id
     where m.run_id = :id and m.joins`,
    bindings,
  );
}

/** Makes groups, and what they list, what the listing says. */
export async function applyGroups(trx: Transaction, run: PlanRun): Promise<void> {
  const bindings = { ...run };
  await trx.raw(
    `delete from groups g where g.directory = :directory
       and not ${groupStays}
       and not ${groupIsStaged}`,
    bindings,
  );
  await trx.raw(
    `insert into groups (directory, directory_id, name, name_key, dn, dn_key, entry_hash)
     select :directory, directory_id, name, name_key, dn, dn_key, entry_hash from staged_groups where run_id = :id
     on conflict (directory, directory_id) do update set name = excluded.name, name_key = excluded.name_key,
       dn = excluded.dn, dn_key = excluded.dn_key, entry_hash = excluded.entry_hash`,
    bindings,
  );
  await trx.raw(
    `delete from group_members where (group_id, member_key) in (
       select g.id, s.member_key from staged_group_members s
       join groups g on g.directory = :directory and g.directory_id = s.group_directory_id
       where s.run_id = :id and not s.joins)`,
    bindings,
  );
  await trx.raw(
    `insert into group_members (group_id, member_key)
     select g.id, s.member_key from staged_group_members s
     join groups g on g.directory = :directory and g.directory_id = s.group_directory_id
     where s.run_id = :id and s.joins`,
    bindings,
  );
}

/** Makes who is in which group what the plan says. */
export async function applyMemberships(trx: Transaction, run: PlanRun): Promise<void> {
  const bindings = { ...run };
  await trx.raw(
    `delete from user_groups where (user_id, group_id) in (
       select ${memberIds} from staged_memberships m where m.run_id = :id and not m.joins)`,
    bindings,
  );
  await trx.raw(
    `insert into user_groups (user_id, group_id)
     select ${memberIds} from staged_memberships m where m.run_id = :id and m.joins`,
    bindings,
  );
}

/**
 * The users whose requirement the plan may begin or end, once it is applied: who comes into a required group, leaves any, or is
 * restored, and the members of groups that became required with it. Needs what is staged.
 */
export function usersToRefresh(run: PlanRun, newlyRequiredGroups: readonly string[]): UserScope {
  return {
    condition: `u.id in (
      select member.id from staged_memberships m
      join users member on member.directory = :directory and member.directory_id = m.directory_id
      where m.run_id = :id and (not m.joins or exists (
        select from groups g
        where g.directory = :directory and g.directory_id = m.group_directory_id and g.required_as <> '{}'))
      union all
      select c.user_id from sync_changes c where c.run_id = :id and c.action = 'restore'
      union all
      select ug.user_id from user_groups ug where ug.group_id = any(:newlyRequiredGroups::uuid[]))`,
    bindings: { id: run.id, directory: run.directory, newlyRequiredGroups },
  };
}
