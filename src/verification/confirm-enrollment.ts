// F6: the first code shows that the app has the secret. It is spent, the enrollment becomes the user's authenticator in
// place of the one it was begun to replace, and the backup codes are shown.

import { recordAuditEvent } from "../audit/audit-events-table.ts";
import type { SealingKey } from "../sealing/sealing.ts";
import { withActiveKey } from "../sealing/sealing-keys.ts";
import type { Transaction } from "../store/database.ts";
import type { ConfirmEnrollmentAnswer, UserInput } from "./answers.ts";
import { activatePending, deleteActive } from "./authenticators-table.ts";
import { makeBackupCodes, type NewBackupCodes, storeBackupCodes } from "./backup-codes.ts";
import { judgeCode, type SettleableCode } from "./code-guard.ts";
import type { VerificationDeps } from "./deps.ts";
import { deletePass } from "./enrollment-passes-table.ts";
import { requireActive } from "./standing.ts";
import { type Authenticator, findStandingByName, holdStanding, type Standing } from "./standing-table.ts";
import { requireWaiting } from "./waiting-caller.ts";

type Input = UserInput & { totpAsTyped: string };

/**
 * Of any number of confirmations at once, one wins and is shown the backup codes. They are made before the code is spent, and
 * spending, activating and storing is one transaction: whatever ends it before its end leaves the enrollment begun and the
 * code unspent.
 */
export async function confirmEnrollment(
  deps: VerificationDeps,
  input: Input,
): Promise<ConfirmEnrollmentAnswer> {
  const found = requireActive(await findStandingByName(deps.db, input.name), deps.directories);
  if (found.outcome !== "active") return found;
  const { standing } = found;
  const begun = begunEnrollmentOf(standing);
  if (begun.outcome !== "begun") return begun;

  const { pending } = begun;
  const code = { method: "totp", codeAsTyped: input.totpAsTyped } as const;
  const purpose = "confirm-enrollment";
  const { actor, signal } = input;
  const judged = await judgeCode(deps, { standing, against: pending, code, purpose, actor, signal });
  if (judged.outcome !== "judged") return judged;

  const codes = await makeBackupCodes(deps, {
    isWanted: () => judged.mayBeAccepted(deps.db),
    signal,
  });
  const { id: userId } = standing.user;
  return withActiveKey(deps, (trx, key) =>
    storeConfirmed(trx, deps, input, { userId, pending, judged, codes, key }),
  );
}

/** What can be confirmed now: one enrollment that is not over and that replaces what is active, and nothing else (rule 14). */
function begunEnrollmentOf(
  standing: Standing,
):
  | { outcome: "begun"; pending: Authenticator }
  | { outcome: "already-enrolled" | "not-enrolled" | "enrollment-expired" | "enrollment-pass-required" } {
  const { user, pending, authenticator } = standing;
  if (!pending || pending.replaces !== (authenticator?.id ?? null)) {
    return { outcome: authenticator ? "already-enrolled" : "not-enrolled" };
  }
  const isOver = pending.expiresAt !== null && pending.expiresAt <= standing.now;
  if (isOver) return { outcome: "enrollment-expired" };
  // Begun before a pass was required (rule 31).
  const lacksPass = user.policyRequires.enrollmentPass && !authenticator && !pending.withPass;
  return lacksPass ? { outcome: "enrollment-pass-required" } : { outcome: "begun", pending };
}

// Under the user's lock, so that nothing is decided on what was read before: the enrollment may have been confirmed with
// another code, begun again, or ended by an admin meanwhile, and the user removed.
async function storeConfirmed(
  trx: Transaction,
  deps: VerificationDeps,
  input: Input,
  confirmed: {
    userId: string;
    pending: Authenticator;
    judged: SettleableCode;
    codes: NewBackupCodes | undefined;
    key: SealingKey;
  },
): Promise<ConfirmEnrollmentAnswer> {
  const { pending, judged, codes, key } = confirmed;
  const held = requireActive(await holdStanding(trx, confirmed.userId), deps.directories);
  if (held.outcome !== "active") return held;
  const begun = begunEnrollmentOf(held.standing);
  if (begun.outcome !== "begun") return begun;
  // Another secret since: the code was judged against the one before, and confirms nothing.
  const settled = await judged.settle(trx);
  if (settled.outcome !== "accepted") return settled;
  if (!codes) throw new Error("a code was accepted that could not be accepted before");

  const { user } = held.standing;
  const replaces = await deleteActive(trx, user.id);
  await deletePass(trx, user.id); // one that was issued beside an enrollment begun without it
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
  requireWaiting(input.signal);
  return { outcome: "confirmed", user, backupCodes: codes.printed };
}
