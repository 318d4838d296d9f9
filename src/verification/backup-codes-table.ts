// Backup code sets and their codes. Codes are spent in guard-table.ts alone.

import type { Transaction } from "../store/database.ts";

/**
 * Gives an authenticator this set in place of any other, whose codes stop working. The authenticator must be locked.
 */
export async function replaceBackupCodes(
  trx: Transaction,
  set: { authenticatorId: string; kdf: string; salt: Buffer; keyId: string; sealed: Buffer; count: number },
): Promise<void> {
  await trx("backup_code_sets").where({ authenticator_id: set.authenticatorId }).delete();
  await trx.raw(
    `with added as (
       insert into backup_code_sets (authenticator_id, kdf, salt, key_id, sealed)
       values (:authenticatorId, :kdf, :salt, :keyId, :sealed)
       returning id
     )
     insert into backup_codes (set_id, position)
     select added.id, position from added, generate_series(0, :count::int - 1) position`,
    { ...set },
  );
}
