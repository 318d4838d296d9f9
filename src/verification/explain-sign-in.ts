// Whether a user can sign in and, if not, why: one sentence for the help desk, and what helps. Pure.

import type { GuardedKind, Method } from "./answers.ts";
import { signInDecision } from "./decide-sign-in.ts";
import { lockedUntil } from "./standing.ts";
import type { Standing } from "./standing-table.ts";

export const kindNames: Readonly<Record<GuardedKind, string>> = {
  totp: "codes from the app",
  "backup-code": "backup codes",
  "enrollment-pass": "enrollment passes",
};

const ways: Readonly<Record<Method, string>> = {
  totp: "a code from the app",
  "backup-code": "a backup code",
};

/** Can this user sign in, and if not, why: one sentence for the help desk, and what helps. */
export function explainSignIn(
  standing: Standing,
  directories: readonly string[],
  passUntil: Date | null,
): { can: boolean; text: string } {
  const decision = signInDecision(standing, { directories });
  const { user, now } = standing;
  if (user.state === "removed") return no("The directory does not list this user any more.");
  if (user.state === "disabled") return no("The directory has disabled this user; it must be enabled there.");
  if (decision.reasons.includes("directory-not-configured"))
    return no("The user's directory is not in the configuration, so nobody of it is let in.");
  if (decision.decision === "deny")
    return no("There were too many wrong codes; wait, or unlock them once you know who is calling.");
  if (decision.decision === "challenge") {
    const locked = (["totp", "backup-code"] as const).find((kind) => lockedUntil(standing, kind));
    const way = decision.methods.map((method) => ways[method]).join(", or ");
    if (locked)
      return {
        can: true,
        text: `With the password and ${way}; there were too many wrong ${kindNames[locked]}, and none is taken for a while.`,
      };
    const codes = standing.backupCodes?.remaining ?? 0;
    return {
      can: true,
      text: `With the password and ${way}${codes > 0 ? "" : "; there are no backup codes left"}.`,
    };
  }
  if (decision.decision === "allow")
    return { can: true, text: "With the password alone: MFA is not required, and not set up." };
  const { enrollment } = decision;
  if (enrollment?.mayDefer)
    return { can: true, text: "With the password alone until the deadline; then MFA must be set up." };
  if (enrollment?.passRequired && (passUntil === null || passUntil <= now))
    return no("MFA must be set up first, and that needs an enrollment pass, which they do not have.");
  if (lockedUntil(standing, "enrollment-pass"))
    return no(
      "MFA must be set up first, and there were too many wrong enrollment passes; unlock them, or hand out a new one.",
    );
  return { can: true, text: "After setting up MFA, which is asked of them at the next sign-in." };
}

function no(text: string) {
  return { can: false, text };
}
