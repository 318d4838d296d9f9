// Directories as the store has them, whether they are configured or not: what is stored under a name, and the statements
// that put it under another name or remove its users. Those of a rename must run in the order in which they stand here.

import type { Actor } from "../audit/audit-events-table.ts";
import type { Database, Transaction } from "../store/database.ts";

export interface StoredDirectory {
  name: string;
  active: number;
  disabled: number;
  removed: number;
  /** Users with an authenticator, removed ones too. */
  enrolled: number;
  lastCompleteAt: Date | null;
}

/** Every name that something is stored under. */
export async function listStoredDirectories(db: Database): Promise<StoredDirectory[]> {
  const { rows } = await db.raw<{ rows: StoredDirectory[] }>(
    `select coalesce(d.name, u.directory) as name, coalesce(u.active, 0) as active,
       coalesce(u.disabled, 0) as disabled, coalesce(u.removed, 0) as removed, coalesce(u.enrolled, 0) as enrolled,
       d.last_complete_at as "lastCompleteAt"
     from directories d
     full join (
       select users.directory, count(*) filter (where users.state = 'active')::int as active,
         count(*) filter (where users.state = 'disabled')::int as disabled,
         count(*) filter (where users.state = 'removed')::int as removed, count(a.user_id)::int as enrolled
       from users left join authenticators a on a.user_id = users.id and a.state = 'active'
       group by users.directory
     ) u on u.directory = d.name collate "C"
     order by coalesce(d.name, u.directory) collate "C"`,
  );
  return rows;
}

export interface Names {
  oldName: string;
  newName: string;
}

// The new directory's user of the same entry `n` as the old one's user `o`.
const twins = `
  users o join users n on n.directory = :newName and n.directory_id = o.directory_id
  where o.directory = :oldName`;

/** Twins in the new directory that have something of their own, so that neither of the two can go. At most ten names. */
export async function listTwinsInUse(trx: Transaction, names: Names): Promise<string[]> {
  const { rows } = await trx.raw<{ rows: { username: string }[] }>(
    `select n.username from ${twins}
       and (n.required_by_admin is not null
         or exists (select from authenticators a where a.user_id = n.id and a.state = 'active'))
     order by n.username_key limit 10`,
    { ...names },
  );
  return rows.map(({ username }) => username);
}

/** Live users of the old directory without a twin, whose name somebody else has in the new one. At most ten names. */
export async function listNameClashes(trx: Transaction, names: Names): Promise<string[]> {
  const { rows } = await trx.raw<{ rows: { username: string }[] }>(
    `select o.username from users o
     join users n on n.directory = :newName and n.username_key = o.username_key and n.state <> 'removed'
     where o.directory = :oldName and o.state <> 'removed'
       and not exists (
         select from users twin where twin.directory = :newName and twin.directory_id = o.directory_id)
     order by o.username_key limit 10`,
    { ...names },
  );
  return rows.map(({ username }) => username);
}

/**
 * Makes one user of each pair of twins: the old directory's, with its id, authenticator and flags, and with what the new
 * directory's listing says of the entry. Each twin that goes leaves an audit event. Returns how many.
 */
export async function mergeTwins(trx: Transaction, input: Names & { actor: Actor }): Promise<number> {
  const { actor, ...names } = input;
  await trx.raw(`delete from user_aliases a using ${twins} and a.user_id = o.id`, names);
  await trx.raw(`update user_aliases a set user_id = o.id from ${twins} and a.user_id = n.id`, names);
  await trx.raw(`delete from user_groups g using ${twins} and g.user_id = o.id`, names);
  await trx.raw(`update user_groups g set user_id = o.id from ${twins} and g.user_id = n.id`, names);
  // The unique index on names is checked row by row; no username begins with a control character.
  await trx.raw(
    `update users u set username_key = e'\\u0001' || u.id
     where u.directory = :oldName
       and exists (select from users n where n.directory = :newName and n.directory_id = u.directory_id)`,
    names,
  );
  const { rowCount } = await trx.raw<{ rowCount: number }>(
    `with gone as (
       delete from users n using users o
       where o.directory = :oldName and n.directory = :newName and n.directory_id = o.directory_id
       returning o.id as kept_id, n.*
     ), kept as (
       update users u set
         username = gone.username, username_key = gone.username_key, display_name = gone.display_name,
         email = gone.email, dn = gone.dn, dn_key = gone.dn_key, alias_keys = gone.alias_keys,
         primary_group_key = gone.primary_group_key, entry_hash = gone.entry_hash, state = gone.state,
         removed_at = gone.removed_at, changed_at = now()
       from gone where u.id = gone.kept_id
     )
     insert into audit_events (actor, via, request_id, action, user_id, directory, outcome, details)
     select :name, :via, :requestId::text, 'user-purge', id, :newName, 'done',
       jsonb_build_object('username', username, 'directoryId', directory_id, 'keptUserId', kept_id)
     from gone`,
    { ...names, ...actor, requestId: actor.requestId ?? null },
  );
  return rowCount;
}

// The new directory's group of the same entry `n` as the old one's group `o`.
const groupTwins = `
  groups o join groups n on n.directory = :newName and n.directory_id = o.directory_id
  where o.directory = :oldName`;

/** Makes one group of each pair, required if one of them was: the new directory's, which was listed later, with the members of both. */
export async function mergeGroups(trx: Transaction, names: Names): Promise<void> {
  await trx.raw(
    `insert into user_groups (user_id, group_id)
     select m.user_id, n.id from user_groups m, ${groupTwins} and m.group_id = o.id
     on conflict do nothing`,
    { ...names },
  );
  await trx.raw(
    `update groups set required_as = o.required_as
     from ${groupTwins} and groups.id = n.id and n.required_as = '{}'`,
    { ...names },
  );
  await trx.raw(`delete from groups where id in (select o.id from ${groupTwins})`, { ...names });
}

/** Puts users, groups, runs and memory under the new name. Returns the number of users. Audit events stay as they were written. */
export async function moveDirectory(trx: Transaction, names: Names): Promise<number> {
  const { rowCount } = await trx.raw<{ rowCount: number }>(
    "update users set directory = :newName, changed_at = now() where directory = :oldName",
    { ...names },
  );
  await trx.raw("update groups set directory = :newName where directory = :oldName", { ...names });
  // The requirement stays in force until a daemon starts with the new name in its policy.
  await trx.raw("update mfa_policy set directories = array_replace(directories, :oldName, :newName)", {
    ...names,
  });
  await trx.raw("update sync_runs set directory = :newName where directory = :oldName", { ...names });
  // Notices that wait are told with the new name, which people know from now on.
  await trx.raw("update notices set directory = :newName where directory = :oldName", { ...names });
  // Where both were listed, the new one was later. Groups of the two have become one: the next listing looks at all memberships.
  await trx.raw(
    `update directories n set first_imported_at = least(n.first_imported_at, o.first_imported_at), memberships_as = null
     from directories o where n.name = :newName and o.name = :oldName`,
    { ...names },
  );
  await trx.raw(
    `delete from directories where name = :oldName and exists (select from directories where name = :newName)`,
    { ...names },
  );
  await trx.raw("update directories set name = :newName where name = :oldName", { ...names });
  return rowCount;
}

/**
 * Removes all users of a directory, as a run that misses them does (rule 7): authenticators and flags stay. Each is an audit
 * event. Its groups are forgotten, and the server it was listed from. Returns how many users.
 */
export async function removeDirectoryUsers(
  trx: Transaction,
  input: { name: string; actor: Actor },
): Promise<number> {
  const { rowCount } = await trx.raw<{ rowCount: number }>(
    `with removed as (
       update users set state = 'removed', removed_at = now(), changed_at = now()
       where directory = :directory and state <> 'removed'
       returning id, directory, directory_id, username
     )
     insert into audit_events (actor, via, request_id, action, user_id, directory, outcome, details)
     select :name, :via, :requestId::text, 'user-remove', id, directory, 'done',
       jsonb_build_object('username', username, 'directoryId', directory_id, 'reason', 'directory-retired')
     from removed`,
    { directory: input.name, ...input.actor, requestId: input.actor.requestId ?? null },
  );
  await trx.raw("delete from groups where directory = :name", { name: input.name });
  // Retired directories have no age to be alarmed about.
  await trx.raw(
    `update directories set last_complete_at = null, older_since = null, server_identity = null, server_state = null where name = :name`,
    { name: input.name },
  );
  return rowCount;
}
