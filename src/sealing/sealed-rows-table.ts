// Every stored value that is sealed, whatever its table, for the rotation of sealing keys: list what another key seals,
// and put the same secret back under the new key.

import type { Database } from "../store/database.ts";
import { rawRows } from "../store/raw-rows.ts";
import type { SealPurpose } from "./sealing.ts";

export interface SealedTable {
  name: "authenticators" | "backup_code_sets" | "audit_chain_keys";
  purpose: SealPurpose;
  idType: "uuid" | "smallint";
  /** SQL for what the value is bound to beside its purpose, from the table aliased `s`. */
  ownerSql: string;
}

/** A new table with sealed values must be added here, and to `retireUnusedKeys`. */
export const sealedTables: readonly SealedTable[] = [
  { name: "authenticators", purpose: "totp-secret", idType: "uuid", ownerSql: "s.user_id::text" },
  {
    name: "backup_code_sets",
    purpose: "backup-codes",
    idType: "uuid",
    ownerSql: "(select a.user_id::text from authenticators a where a.id = s.authenticator_id)",
  },
  { name: "audit_chain_keys", purpose: "audit-chain-key", idType: "smallint", ownerSql: "'dirmfa'" },
];

export interface SealedRow {
  id: string;
  owner: string;
  keyId: string;
  sealed: Buffer;
}

/** Up to `limit` values that one of `keyIds` seals, without those whose ids are in `except`. */
export async function listSealedRows(
  db: Database,
  table: SealedTable,
  wanted: { keyIds: readonly string[]; except: readonly string[]; limit: number },
): Promise<SealedRow[]> {
  const rows = await rawRows<{ id: string; owner: string; key_id: string; sealed: Buffer }>(
    db,
    `select s.id::text as id, ${table.ownerSql} as owner, s.key_id, s.sealed from ${table.name} s
     where s.key_id = any(:keyIds::text[]) and s.id::text <> all(:except::text[]) limit :limit`,
    { keyIds: [...wanted.keyIds], except: [...wanted.except], limit: wanted.limit },
  );
  return rows.map(({ key_id: keyId, ...row }) => ({ ...row, keyId }));
}

/**
 * Replaces each value if it is still the one that was read, and returns how many were. One that a flow is changing now is left
 * for the next round: a batch that waited for users' rows in another order could stand in the way of their flows.
 */
export async function resealRows(
  db: Database,
  table: SealedTable,
  newKeyId: string,
  rows: readonly { id: string; sealed: Buffer; resealed: Buffer }[],
): Promise<number> {
  const updated = await rawRows<unknown>(
    db,
    `with free as materialized (
       select s.id, n.resealed from ${table.name} s
       join unnest(:ids::text[], :sealed::text[], :resealed::text[]) n (id, sealed, resealed)
         on s.id = n.id::${table.idType} and s.sealed = decode(n.sealed, 'hex')
       for no key update of s skip locked
     )
     update ${table.name} s set key_id = :newKeyId, sealed = decode(free.resealed, 'hex')
     from free where s.id = free.id
     returning s.id`,
    {
      newKeyId,
      ids: rows.map((row) => row.id),
      sealed: rows.map((row) => row.sealed.toString("hex")),
      resealed: rows.map((row) => row.resealed.toString("hex")),
    },
  );
  return updated.length;
}
