// What a settings page or an admin sees of a user's MFA. Reads only.

import { decideRequirement } from "../users/policy.ts";
import type { GuardedKind, Lockout, StatusAnswer, UserName, VerificationState } from "./answers.ts";
import type { VerificationDeps } from "./deps.ts";
import { findPass } from "./enrollment-passes-table.ts";
import { guardedKinds } from "./lockouts-table.ts";
import { lockedUntil, requireActive } from "./standing.ts";
import { findStanding, findStandingByName, type Standing } from "./standing-table.ts";

/** For the user's own settings page. */
export async function statusOf(
  deps: Pick<VerificationDeps, "db" | "directories">,
  input: { name: UserName },
): Promise<StatusAnswer> {
  const found = requireActive(await findStandingByName(deps.db, input.name), deps.directories);
  if (found.outcome !== "active") return found;
  const { user, authenticator, backupCodes } = found.standing;
  const { required, requiredBy } = decideRequirement(user);
  return {
    outcome: "found",
    user,
    enrolled: authenticator !== undefined,
    enrolledAt: authenticator?.confirmedAt ?? null,
    required,
    requiredBy,
    backupCodesRemaining: backupCodes?.remaining ?? 0,
    mayDisable: authenticator !== undefined && !required,
    passRequired: authenticator === undefined && user.policyRequires.enrollmentPass,
  };
}

/** For an admin; undefined when there is no such user. */
export async function verificationStateOf(
  deps: Pick<VerificationDeps, "db">,
  input: { userId: string },
): Promise<VerificationState | undefined> {
  const standing = await findStanding(deps.db, input.userId);
  if (!standing) return undefined;
  const pass = await findPass(deps.db, input.userId);
  const { authenticator, pending, backupCodes, now } = standing;
  const pendingUntil = pending?.expiresAt ?? null;
  return {
    enrolledAt: authenticator?.confirmedAt ?? null,
    pendingUntil: pendingUntil && pendingUntil > now ? pendingUntil : null,
    passUntil: pass?.expiresAt ?? null,
    backupCodesRemaining: backupCodes?.remaining ?? 0,
    lockouts: guardedKinds.map((method) => lockoutOf(standing, method)),
  };
}

function lockoutOf(standing: Standing, method: GuardedKind): Lockout {
  return {
    method,
    failures: standing.lockouts[method].failures,
    lockedUntil: lockedUntil(standing, method),
  };
}
