// Which users a list, a count, an export or an act on many is about: one condition for all of them.

import type { Database, Transaction } from "../store/database.ts";
import { rawRows } from "../store/raw-rows.ts";
import { usernameKeyOf } from "../username.ts";
import { groupKeyOf } from "./policy.ts";
import type { UserState } from "./user.ts";

export interface UserConditions {
  /** Part of the username, display name or e-mail address, in any case. */
  search?: string | undefined;
  state?: UserState | undefined;
  directory?: string | undefined;
  /** Name or DN of a group that they are in, directly or through another where the directory is read so. */
  group?: string | undefined;
  /** Nothing is required of removed users: with this filter they are found only where `state` asks for them. */
  required?: boolean | undefined;
  enrolled?: boolean | undefined;
  /** A kind of code is locked out now. */
  locked?: boolean | undefined;
  /** MFA is required, and the time for which the enrollment may be deferred ends before this. */
  deadlineBefore?: Date | undefined;
}

/** True for who has an authenticator; on `u`. */
export const enrolledSql =
  "exists (select from authenticators a where a.user_id = u.id and a.state = 'active')";

/** True while a kind of code is locked out, by the database's clock; on `u`. */
export const lockedSql =
  "exists (select from lockouts l where l.user_id = u.id and l.locked_until > clock_timestamp())";

/** The condition on `u`, with the bindings of `conditionBindings`. */
export const conditionSql = `
  (:state::text is null or u.state = :state)
  and (:directory::text is null or u.directory = :directory)
  and (:groupKey::text is null or exists (
    select from user_groups ug join groups g on g.id = ug.group_id
    where ug.user_id = u.id and :groupKey in ('name:' || g.name_key, 'dn:' || g.dn_key)))
  and (:required::boolean is null
    or (u.required_since is not null) = :required and (u.state <> 'removed' or :state::text = 'removed'))
  and (:enrolled::boolean is null or ${enrolledSql} = :enrolled)
  and (:locked::boolean is null or ${lockedSql} = :locked)
  and (:deadlineBefore::timestamptz is null
    or coalesce(u.enrollment_deadline, u.required_since) < :deadlineBefore
      and (u.state <> 'removed' or :state::text = 'removed'))
  and (:search::text is null or strpos(u.username_key, :search) > 0
    or strpos(lower(u.display_name), :search) > 0 or strpos(lower(u.email), :search) > 0)`;

export function conditionBindings(conditions: UserConditions) {
  return {
    state: conditions.state ?? null,
    directory: conditions.directory ?? null,
    groupKey: conditions.group === undefined ? null : groupKeyOf(conditions.group),
    required: conditions.required ?? null,
    enrolled: conditions.enrolled ?? null,
    locked: conditions.locked ?? null,
    deadlineBefore: conditions.deadlineBefore ?? null,
    search: conditions.search === undefined ? null : usernameKeyOf(conditions.search),
  };
}

export interface UserCounts {
  users: number;
  states: Record<UserState, number>;
  /** Of the active ones. */
  active: {
    required: number;
    enrolled: number;
    /** Required, without an authenticator, and in the grace period. */
    mayDefer: number;
    /** Required, without an authenticator, and without a grace period that still runs: stopped at the next sign-in. */
    mustEnroll: number;
    locked: number;
  };
}

/** How many users fit the filter, in all and of each sort. One statement, so that the numbers are of one moment. */
export async function countUsers(db: Database, conditions: UserConditions): Promise<UserCounts> {
  const rows = await rawRows<CountsRow>(
    db,
    `select count(*)::int as users,
       count(*) filter (where state = 'active')::int as active,
       count(*) filter (where state = 'disabled')::int as disabled,
       count(*) filter (where state = 'removed')::int as removed,
       count(*) filter (where state = 'active' and required)::int as required,
       count(*) filter (where state = 'active' and enrolled)::int as enrolled,
       count(*) filter (where state = 'active' and required and not enrolled and in_grace)::int as may_defer,
       count(*) filter (where state = 'active' and required and not enrolled and not in_grace)::int as must_enroll,
       count(*) filter (where state = 'active' and locked)::int as locked
     from (
       select u.state, u.required_since is not null as required, ${enrolledSql} as enrolled, ${lockedSql} as locked,
         coalesce(u.enrollment_deadline > clock_timestamp(), false) as in_grace
       from users u where ${conditionSql}
     ) as fitting`,
    conditionBindings(conditions),
  );
  const [row] = rows;
  if (!row) throw new Error("a count has no row");
  return {
    users: row.users,
    states: { active: row.active, disabled: row.disabled, removed: row.removed },
    active: {
      required: row.required,
      enrolled: row.enrolled,
      mayDefer: row.may_defer,
      mustEnroll: row.must_enroll,
      locked: row.locked,
    },
  };
}

interface CountsRow {
  users: number;
  active: number;
  disabled: number;
  removed: number;
  required: number;
  enrolled: number;
  may_defer: number;
  must_enroll: number;
  locked: number;
}

/**
 * Takes the locks of the users who fit, in one order so that two acts on many do not wait for each other, and says who of
 * them fits once they are held. Removed users are left out. More ids than `limit` mean that there are too many: then one
 * more than `limit` is answered.
 */
export async function holdUsers(
  trx: Transaction,
  conditions: UserConditions,
  limit: number,
): Promise<string[]> {
  const bindings = conditionBindings(conditions);
  const held = await rawRows<{ id: string }>(
    trx,
    `select u.id from users u where u.state <> 'removed' and ${conditionSql}
     order by u.id limit :most for no key update`,
    { ...bindings, most: limit + 1 },
  );
  const ids = held.map(({ id }) => id);
  if (ids.length > limit) return ids;
  // Again: while the first statement waited, a user may have enrolled, or a lockout ended.
  const rows = await rawRows<{ id: string }>(
    trx,
    `select u.id from users u where u.id = any(:ids::uuid[]) and u.state <> 'removed' and ${conditionSql} order by u.id`,
    { ...bindings, ids },
  );
  return rows.map(({ id }) => id);
}
