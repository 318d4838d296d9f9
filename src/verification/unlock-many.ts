// An admin or the help desk ends the lockouts of all users who fit a filter: all of them in one transaction, or nobody.

import type { Actor } from "../audit/audit-events-table.ts";
import type { Database } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import type { ManyUsersAnswer } from "../users/require-mfa-of-many.ts";
import { holdUsers, type UserConditions } from "../users/user-filter-table.ts";
import { endLockoutsOfMany } from "./lockouts-table.ts";

/** One audit event for each user who had a lockout or failed codes. Removed users are left out. */
export async function unlockMany(
  deps: { db: Database },
  input: { conditions: UserConditions; atMost: number; actor: Actor },
): Promise<ManyUsersAnswer> {
  const { conditions, atMost, actor } = input;
  return inTransaction(deps.db, async (trx) => {
    const ids = await holdUsers(trx, conditions, atMost);
    if (ids.length > atMost) return { outcome: "too-many-users" };
    return { outcome: "done", matched: ids.length, changed: await endLockoutsOfMany(trx, ids, actor) };
  });
}
