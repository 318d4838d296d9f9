// An admin requires MFA of all users who fit a filter, or takes that back: all of them in one transaction, or nobody.

import type { Actor } from "../audit/audit-events-table.ts";
import { recordUserEvents } from "../audit/audit-events-table.ts";
import type { Database } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import { prepareBulkWork } from "../store/settings-table.ts";
import { lockPolicyForReading } from "./policy-table.ts";
import { refreshRequirements } from "./requirements-table.ts";
import { holdUsers, type UserConditions } from "./user-filter-table.ts";
import { updateManyRequiredByAdmin } from "./users-table.ts";

export type ManyUsersAnswer =
  | { outcome: "done"; matched: number; changed: number }
  /** More users fit than the caller allowed for: nobody was changed. */
  | { outcome: "too-many-users" };

/** One audit event for each user whose requirement by an admin was not so before. Removed users are left out. */
export async function setRequiredOfMany(
  deps: { db: Database },
  input: { conditions: UserConditions; required: boolean; atMost: number; actor: Actor },
): Promise<ManyUsersAnswer> {
  const { conditions, required, atMost, actor } = input;
  return inTransaction(deps.db, async (trx) => {
    await prepareBulkWork(trx);
    const ids = await holdUsers(trx, conditions, atMost);
    if (ids.length > atMost) return { outcome: "too-many-users" };
    const userIds = await updateManyRequiredByAdmin(trx, ids, required);
    if (userIds.length === 0) return { outcome: "done", matched: ids.length, changed: 0 };
    await lockPolicyForReading(trx);
    const scope = { condition: "u.id = any(:userIds::uuid[])", bindings: { userIds } };
    await refreshRequirements(trx, scope, null);
    const action = required ? "mfa-require" : "mfa-unrequire";
    await recordUserEvents(trx, { actor, action, userIds, details: { byFilter: true } });
    return { outcome: "done", matched: ids.length, changed: userIds.length };
  });
}
