// What a raw statement returns: its rows, or how many it changed. Only here a caller's word on the columns of its rows is
// taken unchecked. Hot statements are in prepared.ts.

import type { Database, Transaction } from "./database.ts";

type Bindings = Readonly<Record<string, unknown>>;

/** The rows that `sql` returns. Nothing checks `Row`: the caller wrote the column list, and answers for it. */
export async function rawRows<Row>(
  db: Database | Transaction,
  sql: string,
  bindings: Bindings = {},
): Promise<Row[]> {
  const { rows } = await db.raw<{ rows: Row[] }>(sql, bindings);
  return rows;
}

/** The one row that `sql` always returns. Throws where there is none. */
export async function rawRow<Row>(
  db: Database | Transaction,
  sql: string,
  bindings: Bindings = {},
): Promise<Row> {
  const [row] = await rawRows<Row>(db, sql, bindings);
  if (row === undefined) throw new Error("the statement returned no row");
  return row;
}

/** How many rows `sql` inserted, changed or deleted. */
export async function rawCount(
  db: Database | Transaction,
  sql: string,
  bindings: Bindings = {},
): Promise<number> {
  const { rowCount } = await db.raw<{ rowCount: number }>(sql, bindings);
  return rowCount;
}
