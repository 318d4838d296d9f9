// An admin ends a user's lockouts. The authenticator and the backup codes stay as they are.

import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import { inTransaction } from "../store/in-transaction.ts";
import type { UnlockUserAnswer } from "./answers.ts";
import type { VerificationDeps } from "./deps.ts";
import { clearLockouts, guardedKinds } from "./lockouts-table.ts";
import { holdStanding } from "./standing-table.ts";

export async function unlockUser(
  deps: Pick<VerificationDeps, "db">,
  input: { userId: string; actor: Actor },
): Promise<UnlockUserAnswer> {
  return inTransaction(deps.db, async (trx) => {
    const held = await holdStanding(trx, input.userId);
    if (held.kind !== "user") return { outcome: "user-unknown" };
    const { user } = held.standing;
    const lockouts = await clearLockouts(trx, user.id, guardedKinds);
    const refused = lockouts.reduce((sum, lockout) => sum + lockout.refused, 0);
    const methods = lockouts.map(({ method }) => method);
    await recordAuditEvent(trx, {
      actor: input.actor,
      action: "unlock",
      userId: user.id,
      directory: user.directory,
      outcome: "done",
      details: { methods, ...(refused > 0 ? { refused } : {}) },
    });
    return { outcome: "unlocked", methods };
  });
}
