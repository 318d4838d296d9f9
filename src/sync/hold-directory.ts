// Lets no run of a directory begin or go on while something else changes what is stored of that directory.

import { AppError } from "../errors.ts";
import type { Database, Transaction } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import { acquireLease, releaseLease } from "../store/leases-table.ts";
import { leaseTtlMs, syncLeaseName } from "./keep-lease.ts";

/**
 * One transaction in which no run of these directories begins or goes on (rule 9). Throws AppError `run-in-progress` when one
 * is going on. `work` must change nothing outside the database: after a deadlock with a flow of many users it runs again.
 */
export async function holdDirectories<T>(
  deps: { db: Database; holder: string },
  names: readonly string[],
  work: (trx: Transaction) => Promise<T>,
): Promise<T> {
  return inTransaction(deps.db, async (trx) => {
    const leases = [];
    // In one order for everybody, so that two of them never wait for each other.
    for (const name of names.toSorted()) {
      const lease = { name: syncLeaseName(name), holder: deps.holder, ttlMs: leaseTtlMs };
      const attempt = await acquireLease(trx, lease);
      if (!attempt.won) {
        throw new AppError("run-in-progress", `A sync run of ${name} is going on at ${attempt.holder}.`, {
          remedy: "Wait until it has ended; a run whose process was killed ends within a minute.",
          fields: { directory: name },
        });
      }
      leases.push(attempt.lease);
    }
    const result = await work(trx);
    for (const lease of leases) await releaseLease(trx, lease);
    return result;
  });
}
