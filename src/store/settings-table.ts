// Settings of the database that a transaction needs otherwise than they are.

import type { Transaction } from "./database.ts";

/**
 * Prepares a transaction for statements over many rows. Compiling them (PostgreSQL's jit) takes longer than running them;
 * an engine without that setting has nothing to switch off.
 */
export async function prepareBulkWork(trx: Transaction): Promise<void> {
  await trx.raw("select set_config(name, 'off', true) from pg_settings where name = 'jit'");
}
