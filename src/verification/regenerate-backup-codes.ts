// F10: new backup codes for a TOTP code; all the old ones die.

import { recordAuditEvent } from "../audit/audit-events-table.ts";
import type { RegenerateBackupCodesAnswer, UserInput } from "./answers.ts";
import { lockAuthenticators } from "./authenticators-table.ts";
import { makeBackupCodes, storeBackupCodes } from "./backup-codes.ts";
import { takeCode } from "./code-guard.ts";
import type { VerificationDeps } from "./deps.ts";
import { withActiveKey } from "./sealing-keys.ts";
import { requireActive } from "./standing.ts";
import { findStandingByName } from "./standing-table.ts";

/** As in `confirmEnrollment` the code is spent first; a process killed before the new codes are stored leaves the old ones. */
export async function regenerateBackupCodes(
  deps: VerificationDeps,
  input: UserInput & { totpAsTyped: string },
): Promise<RegenerateBackupCodesAnswer> {
  const found = requireActive(await findStandingByName(deps.db, input.name));
  if (found.outcome !== "active") return found;
  const { standing } = found;
  const { user, authenticator } = standing;
  if (!authenticator) return { outcome: "not-enrolled" };

  const code = { method: "totp", codeAsTyped: input.totpAsTyped } as const;
  const { actor } = input;
  const taken = await takeCode(deps, {
    standing,
    against: authenticator,
    code,
    purpose: "regenerate",
    actor,
  });
  if (taken.outcome !== "accepted") return taken;

  const codes = await makeBackupCodes(deps);
  return withActiveKey(deps, async (trx, key) => {
    const locked = await lockAuthenticators(trx, user.id);
    // Disabled or replaced meanwhile.
    if (locked.active !== authenticator.id) return { outcome: "not-enrolled" };
    await storeBackupCodes(trx, deps, { codes, authenticatorId: authenticator.id, userId: user.id, key });
    await recordAuditEvent(trx, {
      actor,
      action: "backup-codes-regenerate",
      userId: user.id,
      directory: user.directory,
      outcome: "done",
      details: { backupCodes: codes.printed.length },
    });
    return { outcome: "regenerated", user, backupCodes: codes.printed };
  });
}
