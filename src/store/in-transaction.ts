// Transactions that are tried again when the database says that another one was in the way.

import type { Database, Transaction } from "./database.ts";

// Two that are in each other's way are through at the second try; many at once on one user may take one or two more.
const mostTries = 5;

/**
 * Runs `work` in a transaction. After a deadlock or a serialization failure it is rolled back and run again from the start, so
 * `work` must change nothing outside the database.
 */
export async function inTransaction<Answer>(
  db: Database,
  work: (trx: Transaction) => Promise<Answer>,
): Promise<Answer> {
  return tryAgain(() => db.transaction(work));
}

/** The same for one statement outside a transaction. Must not be used inside another transaction. */
export async function tryAgain<Answer>(attempt: () => Promise<Answer>): Promise<Answer> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (tries === mostTries || !isConflict(error)) throw error;
    }
  }
}

/** A deadlock (SQLSTATE 40P01) or a serialization failure (40001): all was rolled back, and the same may succeed now. */
function isConflict(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "40P01" || error.code === "40001");
}
