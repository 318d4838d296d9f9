// An admin ends a user's lockouts. The authenticator and the backup codes stay as they are.

import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import { findUser } from "../users/users-table.ts";
import type { UnlockUserAnswer } from "./answers.ts";
import type { VerificationDeps } from "./deps.ts";
import { clearLockouts } from "./lockouts-table.ts";

export async function unlockUser(
  deps: Pick<VerificationDeps, "db">,
  input: { userId: string; actor: Actor },
): Promise<UnlockUserAnswer> {
  const user = await findUser(deps.db, input.userId);
  if (!user) return { outcome: "user-unknown" };
  return deps.db.transaction(async (trx) => {
    const methods = await clearLockouts(trx, user.id);
    await recordAuditEvent(trx, {
      actor: input.actor,
      action: "unlock",
      userId: user.id,
      directory: user.directory,
      outcome: "done",
      details: { methods },
    });
    return { outcome: "unlocked", methods };
  });
}
