// The sealed key of the audit chain: one row, made once.

import type { Database, Transaction } from "../store/database.ts";

export interface StoredChainKey {
  keyId: string;
  sealed: Buffer;
}

export async function findChainKey(db: Database): Promise<StoredChainKey | undefined> {
  const row = await db("audit_chain_keys").first<{ key_id: string; sealed: Buffer } | undefined>(
    "key_id",
    "sealed",
  );
  return row && { keyId: row.key_id, sealed: row.sealed };
}

/** Adds the key where there is none and nothing was ever sealed with one; of several starters at once, one wins. */
export async function insertFirstChainKey(trx: Transaction, key: StoredChainKey): Promise<void> {
  await trx.raw(
    `insert into audit_chain_keys (id, key_id, sealed)
     select 1, :keyId, :sealed where not exists (select from audit_seals)
     on conflict do nothing`,
    { ...key },
  );
}
