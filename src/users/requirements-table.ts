// When a requirement began and until when it may be deferred (rule 13): kept with the user, by the database clock, so that
// neither signing in nor a restart renews it. The same rule as policy.ts, for many users at once.

import type { Transaction } from "../store/database.ts";
import type { MfaPolicy } from "./policy.ts";

/**
 * Stores the beginning of every requirement that holds now and was not stored, and forgets those that ended. Writes no
 * other row. `scope` narrows it to one directory or one user. Returns how many users began and ended.
 */
export async function refreshRequirements(
  trx: Transaction,
  policy: MfaPolicy,
  scope: { directory?: string; userId?: string } = {},
): Promise<{ began: number; ended: number }> {
  const { rows } = await trx.raw<{ rows: { began: number; ended: number }[] }>(
    `with wanted as (
       select u.id, :organization::boolean or u.directory = any(:directories::text[])
         or u.required_by_admin is true or (u.required_new_user and u.required_by_admin is not false)
         or u.id in (
           select ug.user_id from user_groups ug join groups g on g.id = ug.group_id
           where g.name_key = any(:groupNameKeys::text[]) or g.dn_key = any(:groupDnKeys::text[])
         ) as required
       from users u
       where u.state <> 'removed'
         and (:directory::text is null or u.directory = :directory)
         and (:userId::uuid is null or u.id = :userId)
     ), refreshed as (
       update users u set
         required_since = case when wanted.required then now() end,
         enrollment_deadline = case when wanted.required then now() + :graceMs * interval '1 millisecond' end
       from wanted
       where u.id = wanted.id and wanted.required <> (u.required_since is not null)
       returning wanted.required
     )
     select count(*) filter (where required)::int as began, count(*) filter (where not required)::int as ended
     from refreshed`,
    {
      organization: policy.organization,
      directories: [...policy.directories],
      groupNameKeys: [...policy.groupNameKeys],
      groupDnKeys: [...policy.groupDnKeys],
      graceMs: policy.graceMs,
      directory: scope.directory ?? null,
      userId: scope.userId ?? null,
    },
  );
  return rows[0] ?? { began: 0, ended: 0 };
}
