// Lockouts outside the guard: the rows are made when an enrollment begins, and cleared by an admin. Failures are counted in
// guard-table.ts alone.

import type { Database, Transaction } from "../store/database.ts";
import type { Method } from "./answers.ts";

/** Makes the rows that the guard queues on; existing ones keep their counts. */
export async function ensureLockouts(trx: Transaction, userId: string): Promise<void> {
  await trx.raw(
    `insert into lockouts (user_id, method)
     select :userId, method from (values ('totp'), ('backup-code')) methods (method)
     on conflict do nothing`,
    { userId },
  );
}

/** Ends lockouts and forgets failures; returns the kinds of code for which there was something to end. */
export async function clearLockouts(trx: Transaction, userId: string): Promise<Method[]> {
  const { rows } = await trx.raw<{ rows: { method: Method }[] }>(
    `update lockouts set failures = 0, level = 0, locked_until = null
     where user_id = :userId and (failures > 0 or level > 0 or locked_until is not null)
     returning method`,
    { userId },
  );
  return rows.map((row) => row.method).sort();
}

/** True while codes of that kind are refused unseen. */
export async function isLockedOut(db: Database, userId: string, method: Method): Promise<boolean> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `select from lockouts
     where user_id = :userId and method = :method and locked_until > clock_timestamp()`,
    { userId, method },
  );
  return rows.length > 0;
}
