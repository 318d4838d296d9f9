// Since when a directory has answered with older copies alone, which nobody is removed by.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

const statements = [
  // Null unless the last listing that was applied was of an older copy.
  "alter table directories add column older_since timestamptz",
];
