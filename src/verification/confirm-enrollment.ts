// F6: the first code shows that the app has the secret. It is spent, the enrollment becomes the user's authenticator in
// place of any older one, and the backup codes are shown.

import { recordAuditEvent } from "../audit/audit-events-table.ts";
import type { Transaction } from "../store/database.ts";
import type { ConfirmEnrollmentAnswer, UserInput } from "./answers.ts";
import { activatePending, deleteActive, lockAuthenticators } from "./authenticators-table.ts";
import { makeBackupCodes, type NewBackupCodes, storeBackupCodes } from "./backup-codes.ts";
import { takeCode } from "./code-guard.ts";
import type { VerificationDeps } from "./deps.ts";
import type { SealingKey } from "./sealing.ts";
import { withActiveKey } from "./sealing-keys.ts";
import { requireActive } from "./standing.ts";
import { type Authenticator, findStandingByName, type Standing } from "./standing-table.ts";

type Input = UserInput & { totpAsTyped: string };

/**
 * Of any number of confirmations at once, one wins and is shown the backup codes. The code is spent before they are made,
 * so that only the winner costs the hashing; a process killed in between leaves the enrollment begun, for the next code.
 */
export async function confirmEnrollment(
  deps: VerificationDeps,
  input: Input,
): Promise<ConfirmEnrollmentAnswer> {
  const found = requireActive(await findStandingByName(deps.db, input.name));
  if (found.outcome !== "active") return found;
  const { standing } = found;
  const { pending, user } = standing;
  if (!pending) return { outcome: standing.authenticator ? "already-enrolled" : "not-enrolled" };
  if (hasExpired(pending, standing)) return { outcome: "enrollment-expired" };

  const code = { method: "totp", codeAsTyped: input.totpAsTyped } as const;
  const purpose = "confirm-enrollment";
  const taken = await takeCode(deps, { standing, against: pending, code, purpose, actor: input.actor });
  if (taken.outcome !== "accepted") return taken;

  const codes = await makeBackupCodes(deps);
  const confirmed = await withActiveKey(deps, (trx, key) =>
    storeConfirmed(trx, deps, input, { standing, pending, codes, key }),
  );
  return confirmed
    ? { outcome: "confirmed", user, backupCodes: codes.printed }
    : { outcome: "already-enrolled" };
}

function hasExpired(pending: Authenticator, standing: Standing): boolean {
  return pending.expiresAt !== null && pending.expiresAt <= standing.now;
}

// False when the enrollment was confirmed with another code, begun anew, or ended by an admin meanwhile.
async function storeConfirmed(
  trx: Transaction,
  deps: VerificationDeps,
  input: Input,
  confirmed: { standing: Standing; pending: Authenticator; codes: NewBackupCodes; key: SealingKey },
): Promise<boolean> {
  const { standing, pending, codes, key } = confirmed;
  const { user } = standing;
  const locked = await lockAuthenticators(trx, user.id);
  if (locked.pending !== pending.id) return false;
  const replaces = await deleteActive(trx, user.id);
  await activatePending(trx, pending.id);
  await storeBackupCodes(trx, deps, { codes, authenticatorId: pending.id, userId: user.id, key });
  await recordAuditEvent(trx, {
    actor: input.actor,
    action: "enrollment-confirm",
    userId: user.id,
    directory: user.directory,
    outcome: "done",
    details: { replaces, backupCodes: codes.printed.length },
  });
  return true;
}
