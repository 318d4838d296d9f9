// Reading users, and the one flag that an admin writes. Rows are added, changed and removed by sync/apply-table.ts alone.

import type { Database, Transaction } from "../store/database.ts";
import { rawCount, rawRows } from "../store/raw-rows.ts";
import { isUsableUsername, usernameKeyOf } from "../username.ts";
import { chooseNamedUser, type NamedUser, type NameMatch, type User, type UserState } from "./user.ts";
import {
  conditionBindings,
  conditionSql,
  enrolledSql,
  lockedSql,
  type UserConditions,
} from "./user-filter-table.ts";

/** The columns of a user as `UserRow`, from a table aliased `u`; for statements elsewhere that read users with more. */
export const userColumns = `
  u.id, u.directory, u.directory_id, u.username, u.display_name, u.email, u.dn, u.state,
  u.required_new_user, u.required_by_admin, u.required_since, u.enrollment_deadline,
  u.created_at, u.changed_at, u.removed_at,
  coalesce((
    select json_agg(json_build_object('name', g.name, 'nameKey', g.name_key, 'dnKey', g.dn_key,
      'required', g.required_as <> '{}') order by g.name)
    from user_groups ug join groups g on g.id = ug.group_id where ug.user_id = u.id
  ), '[]'::json) as groups,
  (select json_build_object('organization', p.organization, 'directory', u.directory = any(p.directories),
    'enrollmentPass', p.enrollment_pass) from mfa_policy p) as policy`;

/**
 * Takes the user's lock to the end of the transaction; false when there is no such user. Every flow that changes a user's
 * MFA takes it first, before any row of lockouts or authenticators, and reads after it what it decides on. It waits for
 * whatever changes the user, and for a purge. A verification needs no lock: it is one statement that judges what is there.
 */
export async function holdUser(trx: Transaction, userId: string): Promise<boolean> {
  const rows = await rawRows<unknown>(trx, "select from users where id = :userId for no key update", {
    userId,
  });
  return rows.length === 1;
}

/** The live users among them, with columns of `n`. Where there is one, the name means nobody else. */
export const liveUsersSqlOf = (of: {
  key: string;
  directory: string;
  columns: readonly [string, string];
}) => `
  select ${of.columns[0]} from users n
  where n.username_key = ${of.key} and n.state <> 'removed' and n.directory = coalesce(${of.directory}, n.directory)
  union all
  select ${of.columns[1]} from user_aliases a join users n on n.id = a.user_id
  where a.alias_key = ${of.key} and n.state <> 'removed' and n.directory = coalesce(${of.directory}, n.directory)
    and n.username_key <> ${of.key}`;

/**
 * The users that a sign-in name may mean, as rows of `columns` of `n` and `match`, for use as a subquery. `key` and `directory` (null for
 * any) are what stands for the two in SQL. `chooseNamedUser` decides between them.
 */
export const candidatesSqlOf = (of: { key: string; directory: string; columns: string }) => `
  ${liveUsersSqlOf({ ...of, columns: [`${of.columns}, 'username' as match`, `${of.columns}, 'alias'`] })}
  union all
  select ${of.columns}, 'removed' from users n
  where n.username_key = ${of.key} and n.state = 'removed' and n.directory = coalesce(${of.directory}, n.directory)`;

/** The same as rows (id, match). */
export const namedUsersSqlOf = (of: { key: string; directory: string }) =>
  candidatesSqlOf({ ...of, columns: "n.id" });

export interface UserRow {
  id: string;
  directory: string;
  directory_id: string;
  username: string;
  display_name: string | null;
  email: string | null;
  dn: string;
  state: UserState;
  groups: User["groups"];
  /** Null where no policy is in force. */
  policy: User["policyRequires"] | null;
  required_new_user: boolean;
  required_by_admin: boolean | null;
  required_since: Date | null;
  enrollment_deadline: Date | null;
  created_at: Date;
  changed_at: Date;
  removed_at: Date | null;
}

export function userOf(row: UserRow): User {
  return {
    id: row.id,
    directory: row.directory,
    directoryId: row.directory_id,
    username: row.username,
    displayName: row.display_name,
    email: row.email,
    dn: row.dn,
    state: row.state,
    groups: row.groups,
    policyRequires: policyOf(row.policy),
    requiredNewUser: row.required_new_user,
    requiredByAdmin: row.required_by_admin,
    requiredSince: row.required_since,
    enrollmentDeadline: row.enrollment_deadline,
    createdAt: row.created_at,
    changedAt: row.changed_at,
    removedAt: row.removed_at,
  };
}

/** No daemon answers before it has put its policy in force. Without one nobody is let in by it. */
export function policyOf(stored: User["policyRequires"] | null): User["policyRequires"] {
  return stored ?? { organization: true, directory: false, enrollmentPass: true };
}

/** Who a sign-in name means (rule 3). `username` is as typed; without `directory` all of them are searched. */
export async function findUserByName(
  db: Database,
  name: { username: string; directory?: string | undefined },
): Promise<NameMatch> {
  // No stored name is unusable, and PostgreSQL refuses some unusable ones, such as one with U+0000.
  if (!isUsableUsername(name.username)) return { kind: "unknown" };
  const rows = await rawRows<UserRow & { match: NamedUser["match"] }>(
    db,
    `select named.match, ${userColumns} from (${namedUsersSqlOf({ key: ":usernameKey", directory: ":directory" })}) named join users u on u.id = named.id`,
    { usernameKey: usernameKeyOf(name.username), directory: name.directory ?? null },
  );
  return chooseNamedUser(rows.map((row) => ({ match: row.match, user: userOf(row) })));
}

export async function findUser(db: Database, id: string): Promise<User | undefined> {
  const rows = await rawRows<UserRow>(db, `select ${userColumns} from users u where u.id = :id`, {
    id,
  });
  return rows[0] && userOf(rows[0]);
}

export interface UserFilter extends UserConditions {
  /** The last user of the page before, as (username key, id). */
  after?: { usernameKey: string; id: string } | undefined;
  limit: number;
}

/** A user in a list, with what an admin looks for in it. */
export interface ListedUser extends User {
  enrolled: boolean;
  /** A kind of code is locked out now. */
  locked: boolean;
}

/** A page of users in the order of their matched usernames. */
export async function listUsers(db: Database, filter: UserFilter): Promise<ListedUser[]> {
  const rows = await rawRows<UserRow & { enrolled: boolean; locked: boolean }>(
    db,
    `select ${userColumns}, ${enrolledSql} as enrolled, ${lockedSql} as locked
     from users u
     where ${conditionSql} and (:afterKey::text is null or (u.username_key, u.id) > (:afterKey, :afterId::uuid))
     order by u.username_key, u.id limit :limit`,
    {
      ...conditionBindings(filter),
      afterKey: filter.after?.usernameKey ?? null,
      afterId: filter.after?.id ?? null,
      limit: filter.limit,
    },
  );
  return rows.map((row) => ({ ...userOf(row), enrolled: row.enrolled, locked: row.locked }));
}

/**
 * Ends every grace period that still runs (rule 13), also of a reason that has ended and may begin again; false when none
 * does. The requirement stays.
 */
export async function endGrace(trx: Transaction, userId: string): Promise<boolean> {
  const rowCount = await rawCount(
    trx,
    `update users set enrollment_deadline = least(enrollment_deadline, case when enrollment_deadline is not null then now() end),
       graces = (select jsonb_object_agg(reason, least(until::timestamptz, now())) from jsonb_each_text(graces) as g(reason, until))
     where id = :userId and (enrollment_deadline > now()
       or exists (select from jsonb_each_text(graces) as g(reason, until) where until::timestamptz > now()))`,
    { userId },
  );
  return rowCount > 0;
}

/** The same for many users, locked before. Returns those for whom it was not decided so already. */
export async function updateManyRequiredByAdmin(
  trx: Transaction,
  userIds: readonly string[],
  required: boolean,
): Promise<string[]> {
  const rows = await rawRows<{ id: string }>(
    trx,
    `update users set required_by_admin = :required
     where id = any(:ids::uuid[]) and required_by_admin is distinct from :required returning id`,
    { ids: [...userIds], required },
  );
  return rows.map(({ id }) => id);
}

/** Writes an admin's decision (F4). Returns the user's directory, or undefined when there is no such user. */
export async function updateRequiredByAdmin(
  trx: Transaction,
  userId: string,
  required: boolean,
): Promise<string | undefined> {
  // A sync never touches this column.
  const [user] = await trx("users")
    .where({ id: userId })
    .update({ required_by_admin: required })
    .returning("directory");
  return user?.directory;
}

/** Usernames by id, of those that are stored. */
export async function listUsernames(db: Database, ids: readonly string[]): Promise<Map<string, string>> {
  const rows: { id: string; username: string }[] = await db("users")
    .select("id", "username")
    .whereIn("id", [...ids]);
  return new Map(rows.map(({ id, username }) => [id, username]));
}
