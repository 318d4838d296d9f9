// Authenticators, pending and active. Changed only under the user's lock (users-table.ts). Steps are spent in guard-table.ts alone.

import type { Transaction } from "../store/database.ts";
import { rawRow } from "../store/raw-rows.ts";
/**
 * Begins an enrollment, in place of one that was begun before; its id is new, so that a code for the one before
 * confirms nothing. Returns until when it can be confirmed.
 */
export async function upsertPending(
  trx: Transaction,
  pending: {
    id: string;
    userId: string;
    keyId: string;
    sealed: Buffer;
    expiresAfterMs: number;
    /** The id of the active authenticator, which confirming will replace; null when there is none. */
    replaces: string | null;
    /** An enrollment pass was spent for it. */
    withPass: boolean;
  },
): Promise<Date> {
  const row = await rawRow<{ expires_at: Date }>(
    trx,
    `insert into authenticators (id, user_id, state, key_id, sealed, replaces, with_pass, expires_at)
     values (:id, :userId, 'pending', :keyId, :sealed, :replaces, :withPass,
       clock_timestamp() + :expiresAfterMs * interval '1 millisecond')
     on conflict (user_id, state) do update set
       id = excluded.id, key_id = excluded.key_id, sealed = excluded.sealed, replaces = excluded.replaces,
       with_pass = excluded.with_pass, last_step = -1,
       created_at = excluded.created_at, expires_at = excluded.expires_at
     returning expires_at`,
    { ...pending },
  );
  return row.expires_at;
}

/** Ends the user's active authenticator and, with it, its backup codes. False when there was none. */
export async function deleteActive(trx: Transaction, userId: string): Promise<boolean> {
  return (await trx("authenticators").where({ user_id: userId, state: "active" }).delete()) > 0;
}

/** Forgets an enrollment that was begun. */
export async function deletePending(trx: Transaction, userId: string): Promise<void> {
  await trx("authenticators").where({ user_id: userId, state: "pending" }).delete();
}

/** Confirms an enrollment whose code is spent. The user must have no active authenticator. */
export async function activatePending(trx: Transaction, id: string): Promise<void> {
  await trx.raw(
    `update authenticators set state = 'active', expires_at = null, replaces = null, confirmed_at = clock_timestamp()
     where id = :id and state = 'pending' and last_step >= 0`,
    { id },
  );
}
