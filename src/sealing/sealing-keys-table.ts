// Which sealing keys are in use. Holds no key, only what tells a wrong one.

import type { Database, Transaction } from "../store/database.ts";
import { rawRows } from "../store/raw-rows.ts";

export type SealingKeyState = "active" | "retiring" | "retired";

export interface StoredSealingKey {
  id: string;
  checkValue: Buffer;
  /** One key is `active`: new secrets are sealed with it. `retiring` keys still have secrets, `retired` ones have none. */
  state: SealingKeyState;
  createdAt: Date;
  retiredAt: Date | null;
}

interface SealingKeyRow {
  id: string;
  check_value: Buffer;
  state: SealingKeyState;
  created_at: Date;
  retired_at: Date | null;
}

export async function listSealingKeys(db: Database): Promise<StoredSealingKey[]> {
  const rows: SealingKeyRow[] = await db("sealing_keys")
    .select("id", "check_value", "state", "created_at", "retired_at")
    .orderBy(["created_at", "id"]);
  return rows.map((row) => ({
    id: row.id,
    checkValue: row.check_value,
    state: row.state,
    createdAt: row.created_at,
    retiredAt: row.retired_at,
  }));
}

/** Makes the first key of a new database active; of several starters at once, one wins. False when one is active already. */
export async function insertFirstKey(
  trx: Transaction,
  key: { id: string; checkValue: Buffer },
): Promise<boolean> {
  const rows = await rawRows<unknown>(
    trx,
    `insert into sealing_keys (id, check_value, state) values (:id, :checkValue, 'active')
     on conflict do nothing returning id`,
    { ...key },
  );
  return rows.length === 1;
}

/** Waits for other rotations, and for every transaction that holds the active key. */
export async function lockSealingKeys(trx: Transaction): Promise<void> {
  await trx.raw("select id from sealing_keys order by id for update");
}

/** Makes `key` the active one and what was active `retiring`. */
export async function activateKey(trx: Transaction, key: { id: string; checkValue: Buffer }): Promise<void> {
  await trx.raw("update sealing_keys set state = 'retiring' where state = 'active' and id <> :id", {
    id: key.id,
  });
  await trx.raw(
    `insert into sealing_keys (id, check_value, state) values (:id, :checkValue, 'active')
     on conflict (id) do update set state = 'active', retired_at = null`,
    { ...key },
  );
}

/**
 * Keeps `id` the active key to the end of the transaction; false when it is not the active one any more. Whoever stores a
 * newly sealed value calls this first, so that a rotation finds everything that was sealed with the key it replaces.
 */
export async function holdActiveKey(trx: Transaction, id: string): Promise<boolean> {
  const rows = await rawRows<unknown>(
    trx,
    "select id from sealing_keys where id = :id and state = 'active' for share",
    { id },
  );
  return rows.length === 1;
}

/** Retires every retiring key that no secret uses any more, and returns their ids. */
export async function retireUnusedKeys(trx: Transaction): Promise<string[]> {
  const rows = await rawRows<{ id: string }>(
    trx,
    `update sealing_keys k set state = 'retired', retired_at = clock_timestamp()
     where k.state = 'retiring'
       and not exists (select from authenticators s where s.key_id = k.id)
       and not exists (select from backup_code_sets s where s.key_id = k.id)
       and not exists (select from audit_chain_keys s where s.key_id = k.id)
     returning k.id`,
  );
  return rows.map((row) => row.id);
}

/** How many secrets each key still seals; keys without any are left out. */
export async function countSealedByKey(db: Database): Promise<Map<string, number>> {
  const rows = await rawRows<{ key_id: string; count: number }>(
    db,
    `select key_id, count(*)::int as count from (
       select key_id from authenticators
       union all select key_id from backup_code_sets
       union all select key_id from audit_chain_keys
     ) sealed group by key_id`,
  );
  return new Map(rows.map((row) => [row.key_id, row.count]));
}
