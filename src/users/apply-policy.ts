// A requirement of the whole organization, a directory or a group begins when a daemon with that configuration starts.

import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import type { Database } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import type { MfaPolicy } from "./policy.ts";
import { refreshRequirements } from "./requirements-table.ts";

/** Fixes the deadlines of users for whom MFA has become required (rule 13). An audit event when that changed anything. */
export async function applyPolicy(
  deps: { db: Database; policy: MfaPolicy },
  actor: Actor,
): Promise<{ began: number; ended: number }> {
  return inTransaction(deps.db, async (trx) => {
    const refreshed = await refreshRequirements(trx, deps.policy);
    if (refreshed.began + refreshed.ended > 0) {
      await recordAuditEvent(trx, { actor, action: "policy-change", outcome: "done", details: refreshed });
    }
    return refreshed;
  });
}
