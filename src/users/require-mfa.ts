// F4: an admin says that one user must use MFA, or takes that back.

import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import type { Database } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import { prepareBulkWork } from "../store/settings-table.ts";
import { lockPolicyForReading } from "./policy-table.ts";
import { refreshRequirements } from "./requirements-table.ts";
import { updateRequiredByAdmin } from "./users-table.ts";

/** False when there is no such user. `required: false` also ends the user's new-user flag (policy.ts). */
export async function setRequiredByAdmin(
  deps: { db: Database },
  input: { userId: string; required: boolean; actor: Actor },
): Promise<boolean> {
  return inTransaction(deps.db, async (trx) => {
    const directory = await updateRequiredByAdmin(trx, input.userId, input.required);
    if (directory === undefined) return false;
    await prepareBulkWork(trx);
    await lockPolicyForReading(trx);
    const scope = { condition: "u.id = :userId::uuid", bindings: { userId: input.userId } };
    await refreshRequirements(trx, scope, null);
    await recordAuditEvent(trx, {
      actor: input.actor,
      action: input.required ? "mfa-require" : "mfa-unrequire",
      userId: input.userId,
      directory,
      outcome: "done",
    });
    return true;
  });
}
