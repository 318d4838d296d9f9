// Enrollment passes. Changed only under the user's lock (users-table.ts); spent in guard-table.ts alone.

import type { Database, Transaction } from "../store/database.ts";
import { rawRow, rawRows } from "../store/raw-rows.ts";

export interface StoredPass {
  hash: Buffer;
  expiresAt: Date;
}

/** Gives the user this pass in place of any other. Returns until when it is good. */
export async function upsertPass(
  trx: Transaction,
  pass: { userId: string; hash: Buffer; expiresAfterMs: number },
): Promise<Date> {
  const row = await rawRow<{ expires_at: Date }>(
    trx,
    `insert into enrollment_passes (user_id, hash, expires_at)
     values (:userId, :hash, clock_timestamp() + :expiresAfterMs * interval '1 millisecond')
     on conflict (user_id) do update set
       hash = excluded.hash, issued_at = excluded.issued_at, expires_at = excluded.expires_at
     returning expires_at`,
    { ...pass },
  );
  return row.expires_at;
}

/** The user's pass, unless it is over. */
export async function findPass(db: Database, userId: string): Promise<StoredPass | undefined> {
  const rows = await rawRows<{ hash: Buffer; expires_at: Date }>(
    db,
    `select hash, expires_at from enrollment_passes
     where user_id = :userId and expires_at > clock_timestamp()`,
    { userId },
  );
  return rows[0] && { hash: rows[0].hash, expiresAt: rows[0].expires_at };
}

/** Ends the user's pass, if there is one. */
export async function deletePass(trx: Transaction, userId: string): Promise<void> {
  await trx("enrollment_passes").where({ user_id: userId }).delete();
}
