// Who must use MFA, and why (rules 11 to 13). Pure: facts in, a named answer out.

import type { MfaConfig } from "../config/config.ts";
import { dnKeyOf } from "../ldap-text/dn.ts";
import { usernameKeyOf } from "../username.ts";
import type { User, UserGroup } from "./user.ts";

/** What `mfa` of a configuration requires, in the form in which it is stored once it is in force. */
export interface MfaPolicy {
  organization: boolean;
  directories: readonly string[];
  /** `name:` or `dn:` and the normal form of what the configuration says. */
  groupKeys: readonly string[];
  newUsers: boolean;
  initialImport: "exempt" | "include";
  graceMs: number;
  /** Nobody enrolls a first authenticator, or one after a reset, without an enrollment pass (rule 31). */
  enrollmentPass: boolean;
}

/** A group's reason carries its name after a colon: `required-by-group:Finance`. */
export type RequirementReason =
  | "required-by-organization"
  | "required-by-directory"
  | `required-by-group:${string}`
  | "required-new-user"
  | "required-by-admin";

export interface Requirement {
  required: boolean;
  /** Every reason that holds, in the order organization, directory, groups, new user, admin. */
  requiredBy: RequirementReason[];
  /** Until when an unenrolled user may defer; null when nothing is required. */
  deadline: Date | null;
}

export function mfaPolicyOf(mfa: MfaConfig): MfaPolicy {
  return {
    organization: mfa.mode === "required",
    directories: mfa.requireForDirectories,
    groupKeys: [...new Set(mfa.requireForGroups.map(groupKeyOf))],
    newUsers: mfa.requireForNewUsers,
    initialImport: mfa.initialImport,
    graceMs: mfa.enrollmentGraceMs,
    enrollmentPass: mfa.enrollmentPass === "required",
  };
}

/** A `requireForGroups` entry that reads as a DN with "=" is compared as a DN, any other as a group name. */
export function groupKeyOf(configured: string): string {
  const dnKey = configured.includes("=") ? dnKeyOf(configured) : undefined;
  return dnKey ? `dn:${dnKey}` : `name:${usernameKeyOf(configured)}`;
}

interface RequirementFacts
  extends Pick<User, "policyRequires" | "requiredNewUser" | "requiredByAdmin" | "enrollmentDeadline"> {
  groups: readonly Pick<UserGroup, "name" | "required">[];
}

/**
 * What the policy in force asks of a user (rule 11). An admin's `false` ends the new-user flag of that one user; it does not
 * outweigh organization, directory or group. A requirement whose beginning is not stored yet has no grace: deadline null
 * with `required` true means now.
 */
export function decideRequirement(user: RequirementFacts): Requirement {
  const requiredBy: RequirementReason[] = [];
  if (user.policyRequires.organization) requiredBy.push("required-by-organization");
  if (user.policyRequires.directory) requiredBy.push("required-by-directory");
  for (const group of user.groups) {
    if (group.required) requiredBy.push(`required-by-group:${group.name}`);
  }
  if (user.requiredNewUser && user.requiredByAdmin !== false) requiredBy.push("required-new-user");
  if (user.requiredByAdmin === true) requiredBy.push("required-by-admin");
  const required = requiredBy.length > 0;
  return { required, requiredBy, deadline: required ? user.enrollmentDeadline : null };
}

/** True while an unenrolled, required user may still sign in without MFA (rule 13). `now` is the database's. */
export function mayDefer(requirement: Requirement, now: Date): boolean {
  return requirement.deadline !== null && now < requirement.deadline;
}
