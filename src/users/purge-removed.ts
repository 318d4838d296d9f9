// Rule 7: a removed user, with the authenticator and the flags that were kept, is deleted after the retention time.

import type { Actor } from "../audit/audit-events-table.ts";
import type { Database } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import { purgeUsers } from "./removed-users-table.ts";

// One transaction's worth: small enough that sign-ins beside it do not notice.
const batchSize = 500;

/** Purges in batches, each a transaction with its audit events. Returns how many users. */
export async function purgeRemovedUsers(
  deps: { db: Database },
  input: { retentionMs: number; actor: Actor },
): Promise<number> {
  let total = 0;
  for (;;) {
    const purged = await inTransaction(deps.db, (trx) => purgeUsers(trx, { ...input, limit: batchSize }));
    total += purged;
    if (purged < batchSize) return total;
  }
}
