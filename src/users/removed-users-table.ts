// Purging: the only statements that delete a user, with all that was kept for its return (rule 7).

import type { Actor } from "../audit/audit-events-table.ts";
import type { Transaction } from "../store/database.ts";
import { rawCount } from "../store/raw-rows.ts";

/**
 * Deletes users removed longer ago than `retentionMs`, at most `limit` of them, each with its own audit event in the same
 * statement. Returns how many. A user whom another transaction is changing is left for the next round: it may be a
 * restore. Rows are locked in the order of all flows: users, lockouts, then what hangs on them.
 */
export async function purgeUsers(
  trx: Transaction,
  input: { retentionMs: number; limit: number; actor: Actor },
): Promise<number> {
  return rawCount(
    trx,
    `with doomed as materialized (
       select id from users
       where state = 'removed' and removed_at < now() - :retentionMs * interval '1 millisecond'
       order by removed_at limit :limit
       for update skip locked
     ), lockouts_held as materialized (
       select user_id from lockouts where user_id in (select id from doomed) for update
     ), purged as (
       delete from users where id in (select id from doomed) and (select count(*) from lockouts_held) >= 0
       returning id, directory, directory_id, username, removed_at
     )
     insert into audit_events (actor, via, request_id, action, user_id, directory, outcome, details)
     select :name, :via, :requestId::text, 'user-purge', id, directory, 'done',
       jsonb_build_object('username', username, 'directoryId', directory_id, 'removedAt', removed_at)
     from purged`,
    {
      retentionMs: input.retentionMs,
      limit: input.limit,
      ...input.actor,
      requestId: input.actor.requestId ?? null,
    },
  );
}
