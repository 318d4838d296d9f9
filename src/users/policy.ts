// Who must use MFA, and why (rules 11 to 13). Pure: facts in, a named answer out.

import type { MfaConfig } from "../config/config.ts";
import { dnKeyOf } from "../directory/dn.ts";
import { usernameKeyOf } from "../username.ts";
import type { User, UserGroup } from "./user.ts";

/** `mfa` of the configuration, in the form in which users are compared with it. */
export interface MfaPolicy {
  organization: boolean;
  directories: readonly string[];
  groupNameKeys: readonly string[];
  groupDnKeys: readonly string[];
  newUsers: boolean;
  initialImport: "exempt" | "include";
  graceMs: number;
  /** Rule 31: nobody enrolls a first authenticator, or one after a reset, without a pass. */
  enrollmentPassRequired: boolean;
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

/** A `requireForGroups` entry that reads as a DN with "=" is compared as a DN, any other as a group name. */
export function mfaPolicyOf(mfa: MfaConfig): MfaPolicy {
  const dnKeys = mfa.requireForGroups.map((group) => (group.includes("=") ? dnKeyOf(group) : undefined));
  return {
    organization: mfa.mode === "required",
    directories: mfa.requireForDirectories,
    groupNameKeys: mfa.requireForGroups.filter((_, index) => !dnKeys[index]).map(usernameKeyOf),
    groupDnKeys: dnKeys.filter((key) => key !== undefined),
    newUsers: mfa.requireForNewUsers,
    initialImport: mfa.initialImport,
    graceMs: mfa.enrollmentGraceMs,
    enrollmentPassRequired: mfa.enrollmentPass === "required",
  };
}

type RequirementFacts = Pick<
  User,
  "directory" | "groups" | "requiredNewUser" | "requiredByAdmin" | "enrollmentDeadline"
>;

/**
 * What the policy asks of a user (rule 11). An admin's `false` ends the new-user flag of that one user; it does not
 * outweigh organization, directory or group. A requirement whose beginning is not stored yet has no grace: deadline null
 * with `required` true means now.
 */
export function decideRequirement(user: RequirementFacts, policy: MfaPolicy): Requirement {
  const requiredBy: RequirementReason[] = [];
  if (policy.organization) requiredBy.push("required-by-organization");
  if (policy.directories.includes(user.directory)) requiredBy.push("required-by-directory");
  for (const group of user.groups) {
    if (isRequiredGroup(group, policy)) requiredBy.push(`required-by-group:${group.name}`);
  }
  if (user.requiredNewUser && user.requiredByAdmin !== false) requiredBy.push("required-new-user");
  if (user.requiredByAdmin === true) requiredBy.push("required-by-admin");
  const required = requiredBy.length > 0;
  return { required, requiredBy, deadline: required ? user.enrollmentDeadline : null };
}

function isRequiredGroup(group: UserGroup, policy: MfaPolicy): boolean {
  return policy.groupNameKeys.includes(group.nameKey) || policy.groupDnKeys.includes(group.dnKey);
}

/** True while an unenrolled, required user may still sign in without MFA (rule 13). `now` is the database's. */
export function mayDefer(requirement: Requirement, now: Date): boolean {
  return requirement.deadline !== null && now < requirement.deadline;
}
