// When a requirement began and until when it may be deferred (rule 13): kept with the user, by the database clock, so that
// neither signing in nor a restart renews it. The same rule as policy.ts, for many users at once.

import type { Actor } from "../audit/audit-events-table.ts";
import type { Transaction } from "../store/database.ts";
import { rawRows } from "../store/raw-rows.ts";

/** Users as a condition on `u`, with its bindings. */
export interface UserScope {
  condition: string;
  bindings: Record<string, string | readonly string[]>;
}

/**
 * Follows the policy in force and the facts as they are now, for the users of `scope`: stores the beginning of every
 * requirement that was not stored, and forgets those that ended, each with an audit event that carries `cause` (an end that
 * is the act of an admin has its own event: `events` null). A reason gives its grace once: what it gave is kept with the
 * user, and a requirement that begins again has the earliest deadline that its reasons gave. Writes no other row. Returns
 * how many users began and ended.
 */
export async function refreshRequirements(
  trx: Transaction,
  scope: UserScope,
  events: { actor: Actor; cause: Readonly<Record<string, string>> } | null,
): Promise<{ began: number; ended: number }> {
  const rows = await rawRows<{ began: number; ended: number }>(
    trx,
    `with concerned as materialized (
       select u.id from users u where u.state <> 'removed' and (${scope.condition})
     ), by_group as (
       select ug.user_id, array_agg('group:' || g.directory_id order by g.directory_id) as reasons
       from concerned join user_groups ug on ug.user_id = concerned.id
       join groups g on g.id = ug.group_id and g.required_as <> '{}' group by ug.user_id
     ), seen as (
       select u.id, u.required_since, u.enrollment_deadline, coalesce(u.graces, '{}') as graces,
         now() + p.grace_ms * interval '1 millisecond' as new_deadline,
         array_remove(array[
           case when p.organization then 'organization' end,
           case when u.directory = any(p.directories) then 'directory' end,
           case when u.required_new_user and u.required_by_admin is not false then 'new-user' end,
           case when u.required_by_admin then 'admin' end
         ], null) || coalesce((select by_group.reasons from by_group where by_group.user_id = u.id), '{}') as reasons
       from concerned join users u on u.id = concerned.id cross join mfa_policy p
     ), differing as (
       select seen.*, cardinality(reasons) > 0 as required,
         case when required_since is not null then enrollment_deadline
           else (select min(coalesce((graces ->> reason)::timestamptz, new_deadline)) from unnest(reasons) as reason)
         end as deadline
       from seen
       where (cardinality(reasons) > 0) <> (required_since is not null) or not jsonb_exists_all(graces, reasons)
     ), refreshed as (
       update users u set
         required_since = case when d.required then coalesce(d.required_since, now()) end,
         enrollment_deadline = case when d.required then d.deadline end,
         graces = d.graces || (
           select coalesce(jsonb_object_agg(reason, d.deadline), '{}') from unnest(d.reasons) as reason
           where not jsonb_exists(d.graces, reason))
       from differing d
       where u.id = d.id
       returning u.id, u.directory, u.username, d.required, d.required_since as since, d.graces
     ), events as (
       insert into audit_events (actor, via, action, user_id, directory, outcome, request_id, details)
       select :name, :via, 'requirement-end', id, directory, 'done', :requestId::text, :cause::jsonb || jsonb_build_object(
         'username', username, 'requiredSince', since, 'reasonsSoFar', array(select jsonb_object_keys(graces)))
       from refreshed where not required and :withEvents
     )
     select count(*) filter (where required and since is null)::int as began,
       count(*) filter (where not required)::int as ended
     from refreshed`,
    {
      ...scope.bindings,
      name: events?.actor.name ?? "",
      via: events?.actor.via ?? "",
      requestId: events?.actor.requestId ?? null,
      cause: JSON.stringify(events?.cause ?? {}),
      withEvents: events !== null,
    },
  );
  return rows[0] ?? { began: 0, ended: 0 };
}
