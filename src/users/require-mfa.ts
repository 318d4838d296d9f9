// F4: an admin says that one user must use MFA, or takes that back.

import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import type { Database } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import type { MfaPolicy } from "./policy.ts";
import { refreshRequirements } from "./requirements-table.ts";
import { updateRequiredByAdmin } from "./users-table.ts";

/** False when there is no such user. `required: false` also ends the user's new-user flag (policy.ts). */
export async function setRequiredByAdmin(
  deps: { db: Database; policy: MfaPolicy },
  input: { userId: string; required: boolean; actor: Actor },
): Promise<boolean> {
  return inTransaction(deps.db, async (trx) => {
    const directory = await updateRequiredByAdmin(trx, input.userId, input.required);
    if (directory === undefined) return false;
    await refreshRequirements(trx, deps.policy, { userId: input.userId });
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
