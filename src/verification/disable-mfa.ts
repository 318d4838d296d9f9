// F9 and F11: MFA ends, by the user with a TOTP code where nothing requires it, or by an admin without one.

import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import { decideRequirement } from "../users/policy.ts";
import { findUser } from "../users/users-table.ts";
import type { DisableMfaAnswer, DisableMfaByAdminAnswer, UserInput } from "./answers.ts";
import { deleteActive, deletePending } from "./authenticators-table.ts";
import { judgeCode } from "./code-guard.ts";
import type { VerificationDeps } from "./deps.ts";
import { clearLockouts } from "./lockouts-table.ts";
import { requireActive } from "./standing.ts";
import { findStandingByName } from "./standing-table.ts";

/** A backup code is not accepted for this (F9). Where MFA is required it is refused before the code is looked at (rule 14). */
export async function disableMfa(
  deps: VerificationDeps,
  input: UserInput & { totpAsTyped: string },
): Promise<DisableMfaAnswer> {
  const found = requireActive(await findStandingByName(deps.db, input.name));
  if (found.outcome !== "active") return found;
  const { standing } = found;
  const { user, authenticator } = standing;
  if (!authenticator) return { outcome: "not-enrolled" };
  const { required, requiredBy } = decideRequirement(user, deps.policy);
  if (required) return { outcome: "mfa-required", requiredBy };

  const code = { method: "totp", codeAsTyped: input.totpAsTyped } as const;
  const { actor } = input;
  const judged = await judgeCode(deps, { standing, against: authenticator, code, purpose: "disable", actor });
  if (judged.outcome !== "judged") return judged;
  return deps.db.transaction(async (trx) => {
    const settled = await judged.settle(trx);
    if (settled.outcome !== "accepted") return settled;
    await deleteActive(trx, user.id);
    await deletePending(trx, user.id);
    const { id: userId, directory } = user;
    await recordAuditEvent(trx, { actor, action: "mfa-disable", userId, directory, outcome: "done" });
    return { outcome: "disabled", user };
  });
}

/**
 * For a lost phone. Ends the authenticator, a begun enrollment and the lockouts; whether MFA is required stays as it is,
 * so a required user enrolls at the next sign-in. Works for users in any state.
 */
export async function disableMfaByAdmin(
  deps: Pick<VerificationDeps, "db">,
  input: { userId: string; actor: Actor },
): Promise<DisableMfaByAdminAnswer> {
  const user = await findUser(deps.db, input.userId);
  if (!user) return { outcome: "user-unknown" };
  return deps.db.transaction(async (trx) => {
    // In the order in which the guard locks rows, or the two could wait for each other.
    const lockouts = await clearLockouts(trx, user.id);
    const wasEnrolled = await deleteActive(trx, user.id);
    await deletePending(trx, user.id);
    await recordAuditEvent(trx, {
      actor: input.actor,
      action: "mfa-disable",
      userId: user.id,
      directory: user.directory,
      outcome: wasEnrolled ? "done" : "not-enrolled",
      details: { byAdmin: true, lockoutsEnded: lockouts },
    });
    return { outcome: wasEnrolled ? "disabled" : "not-enrolled" };
  });
}
