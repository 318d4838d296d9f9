// F9 and F11: MFA ends, by the user with a TOTP code where nothing requires it, or by an admin without one.

import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import { inTransaction } from "../store/in-transaction.ts";
import { decideRequirement } from "../users/policy.ts";
import { endGrace } from "../users/users-table.ts";
import type { DisableMfaAnswer, DisableMfaByAdminAnswer, Identification, UserInput } from "./answers.ts";
import { deleteActive, deletePending } from "./authenticators-table.ts";
import { judgeCode } from "./code-guard.ts";
import type { VerificationDeps } from "./deps.ts";
import { storeNewPass } from "./enrollment-pass.ts";
import { deletePass } from "./enrollment-passes-table.ts";
import { clearLockouts, guardedKinds } from "./lockouts-table.ts";
import { requireActive } from "./standing.ts";
import { findStandingByName, holdStanding, type Standing } from "./standing-table.ts";
import { requireWaiting } from "./waiting-caller.ts";

/** A backup code is not accepted for this (F9). Where MFA is required it is refused before the code is looked at (rule 14). */
export async function disableMfa(
  deps: VerificationDeps,
  input: UserInput & { totpAsTyped: string },
): Promise<DisableMfaAnswer> {
  const found = requireActive(await findStandingByName(deps.db, input.name), deps.directories);
  if (found.outcome !== "active") return found;
  const { standing } = found;
  const mayDisable = mayDisableOf(standing);
  if (mayDisable.outcome !== "may-disable") return mayDisable;
  const { authenticator } = mayDisable;

  const code = { method: "totp", codeAsTyped: input.totpAsTyped } as const;
  const { actor, signal } = input;
  const purpose = "disable";
  const judged = await judgeCode(deps, { standing, against: authenticator, code, purpose, actor, signal });
  if (judged.outcome !== "judged") return judged;
  return inTransaction(deps.db, async (trx) => {
    // Under the user's lock: MFA may have become required since, and the authenticator another one.
    const held = requireActive(await holdStanding(trx, standing.user.id), deps.directories);
    if (held.outcome !== "active") return held;
    const stillMay = mayDisableOf(held.standing);
    if (stillMay.outcome !== "may-disable") return stillMay;
    const settled = await judged.settle(trx);
    if (settled.outcome !== "accepted") return settled;
    const { user } = held.standing;
    await deleteActive(trx, user.id);
    await deletePending(trx, user.id);
    const { id: userId, directory } = user;
    await recordAuditEvent(trx, { actor, action: "mfa-disable", userId, directory, outcome: "done" });
    requireWaiting(signal);
    return { outcome: "disabled", user };
  });
}

function mayDisableOf({ user, authenticator }: Standing) {
  if (!authenticator) return { outcome: "not-enrolled" } as const;
  const { required, requiredBy } = decideRequirement(user);
  if (required) return { outcome: "mfa-required", requiredBy } as const;
  return { outcome: "may-disable", authenticator } as const;
}

/**
 * For a lost phone. Ends the authenticator, a begun enrollment, a pass and the lockouts. Whether MFA is required stays as it
 * is, so a required user enrolls at the next sign-in; a grace period that still runs ends, unless `keepGrace`, since whoever
 * has the password could sign in with it alone. `issuePass` gives the user a pass to enroll with. Works in any state.
 */
export async function disableMfaByAdmin(
  deps: Pick<VerificationDeps, "db" | "randomBytes" | "mfa">,
  input: {
    userId: string;
    actor: Actor;
    keepGrace?: boolean | undefined;
    issuePass?: boolean | undefined;
    /** Of who gets the pass. */
    identified?: Identification | undefined;
  },
): Promise<DisableMfaByAdminAnswer> {
  return inTransaction(deps.db, async (trx) => {
    // Waits for a confirmation that is being stored, and ends what it made.
    const held = await holdStanding(trx, input.userId);
    if (held.kind !== "user") return { outcome: "user-unknown" };
    const { user } = held.standing;
    // In the order in which the guard locks rows, or the two could wait for each other.
    const lockouts = await clearLockouts(trx, user.id, guardedKinds);
    const wasEnrolled = await deleteActive(trx, user.id);
    await deletePending(trx, user.id);
    await deletePass(trx, user.id);
    const graceEnded = wasEnrolled && !input.keepGrace && (await endGrace(trx, user.id));
    await recordAuditEvent(trx, {
      actor: input.actor,
      action: "mfa-disable",
      userId: user.id,
      directory: user.directory,
      outcome: wasEnrolled ? "done" : "not-enrolled",
      details: { byAdmin: true, graceEnded, lockoutsEnded: lockouts.map(({ method }) => method) },
    });
    if (!wasEnrolled) return { outcome: "not-enrolled" };
    const pass = input.issuePass
      ? await storeNewPass(trx, deps, { standing: held.standing, ...input })
      : undefined;
    return { outcome: "disabled", pass };
  });
}
