// Where the event stream goes on. Moved only by whoever holds the lease of the stream, after the receiver has taken the events.

import type { Database, Transaction } from "../store/database.ts";
import { rawRows } from "../store/raw-rows.ts";

/** The position of the stream with this name, which begins at 0. */
export async function findStreamPosition(db: Database, name: string): Promise<string> {
  const rows = await rawRows<{ position: string }>(
    db,
    "select position from audit_streams where name = :name",
    { name },
  );
  return rows[0]?.position ?? "0";
}

export async function moveStream(trx: Transaction, move: { name: string; position: string }): Promise<void> {
  await trx.raw(
    `insert into audit_streams (name, position) values (:name, :position)
     on conflict (name) do update set position = excluded.position, changed_at = clock_timestamp()`,
    move,
  );
}

/** Sealed events that the stream has not brought yet. */
export async function countUnstreamed(db: Database, name: string): Promise<number> {
  const rows = await rawRows<{ count: number }>(
    db,
    `select count(*)::int as count from audit_seals
     where position > coalesce((select position from audit_streams where name = :name), 0)`,
    { name },
  );
  return rows[0]?.count ?? 0;
}
