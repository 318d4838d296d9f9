// F10: new backup codes for a TOTP code; the old ones stop working.

import { recordAuditEvent } from "../audit/audit-events-table.ts";
import { withActiveKey } from "../sealing/sealing-keys.ts";
import type { RegenerateBackupCodesAnswer, UserInput } from "./answers.ts";
import { makeBackupCodes, storeBackupCodes } from "./backup-codes.ts";
import { judgeCode } from "./code-guard.ts";
import type { VerificationDeps } from "./deps.ts";
import { requireActive } from "./standing.ts";
import { findStandingByName, holdStanding } from "./standing-table.ts";
import { requireWaiting } from "./waiting-caller.ts";

/** As in `confirmEnrollment` the codes are made first, and spending and storing is one transaction. */
export async function regenerateBackupCodes(
  deps: VerificationDeps,
  input: UserInput & { totpAsTyped: string },
): Promise<RegenerateBackupCodesAnswer> {
  const found = requireActive(await findStandingByName(deps.db, input.name), deps.directories);
  if (found.outcome !== "active") return found;
  const { standing } = found;
  const { authenticator } = standing;
  if (!authenticator) return { outcome: "not-enrolled" };

  const code = { method: "totp", codeAsTyped: input.totpAsTyped } as const;
  const { actor, signal } = input;
  const judged = await judgeCode(deps, {
    standing,
    against: authenticator,
    code,
    purpose: "regenerate",
    actor,
    signal,
  });
  if (judged.outcome !== "judged") return judged;

  const codes = await makeBackupCodes(deps, {
    isWanted: () => judged.mayBeAccepted(deps.db),
    signal,
  });
  return withActiveKey(deps, async (trx, key) => {
    const held = requireActive(await holdStanding(trx, standing.user.id), deps.directories);
    if (held.outcome !== "active") return held;
    const { user, authenticator: present } = held.standing;
    if (!present) return { outcome: "not-enrolled" };
    // Takes the code only for the authenticator that it was judged against.
    const settled = await judged.settle(trx);
    if (settled.outcome !== "accepted") return settled;
    if (!codes) throw new Error("a code was accepted that could not be accepted before");
    await storeBackupCodes(trx, deps, { codes, authenticatorId: present.id, userId: user.id, key });
    await recordAuditEvent(trx, {
      actor,
      action: "backup-codes-regenerate",
      userId: user.id,
      directory: user.directory,
      outcome: "done",
      details: { backupCodes: codes.printed.length },
    });
    requireWaiting(signal);
    return { outcome: "regenerated", user, backupCodes: codes.printed };
  });
}
