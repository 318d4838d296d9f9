// How one user is told to people and to programs.

import { decideRequirement, type Requirement } from "../users/policy.ts";
import type { User } from "../users/user.ts";
import type { VerificationState } from "../verification/answers.ts";

/** The stored user, the names of its groups, and what the policy asks of it. */
export function userAsJson({ policyRequires, ...user }: User) {
  const requirement = decideRequirement({ ...user, policyRequires });
  return { ...user, groups: user.groups.map((group) => group.name), ...requirement };
}

/** Label and value pairs, the ones that matter most first. */
export function userFacts(
  user: User,
  requirement: Requirement,
  verification: VerificationState | undefined,
): [label: string, value: string | null][] {
  return [
    ["username", user.username],
    ["name", user.displayName],
    ["e-mail", user.email],
    ["state", user.removedAt ? `removed since ${user.removedAt.toISOString()}` : user.state],
    ["MFA required", requirement.required ? requirement.requiredBy.join(", ") : "no"],
    ["authenticator", authenticatorOf(verification, deadlineOf(user, requirement))],
    [
      "enrollment pass",
      verification?.passUntil ? `good until ${verification.passUntil.toISOString()}` : "none",
    ],
    ["locked out", lockoutsOf(verification)],
    ["groups", user.groups.map((group) => group.name).join(", ") || null],
    ["directory", user.directory],
    ["directory id", user.directoryId],
    ["DN", user.dn],
    ["user id", user.id],
    ["first seen", user.createdAt.toISOString()],
    ["last change", user.changedAt.toISOString()],
  ];
}

function authenticatorOf(verification: VerificationState | undefined, deadline: string | null): string {
  if (verification?.enrolledAt) {
    const { enrolledAt, backupCodesRemaining } = verification;
    return `since ${enrolledAt.toISOString()}, ${backupCodesRemaining} backup codes left`;
  }
  return deadline === null ? "none" : `none; has to enroll by ${deadline}`;
}

function deadlineOf(user: User, { required, deadline }: Requirement): string | null {
  if (!required) return null;
  const hasGrace = deadline !== null && user.requiredSince !== null && deadline > user.requiredSince;
  return hasGrace ? deadline.toISOString() : "the next sign-in";
}

function lockoutsOf(verification: VerificationState | undefined): string {
  const locked = (verification?.lockouts ?? []).flatMap(({ method, lockedUntil }) =>
    lockedUntil ? [`${method} until ${lockedUntil.toISOString()}`] : [],
  );
  return locked.join(", ") || "no";
}
