// What the console says in words: why MFA is required, what an audit event tells. Pure.

import type { AuditAction, AuditEvent } from "../audit/audit-events-table.ts";
import type { NoticeKind } from "../notices/notice.ts";
import { decideRequirement, type RequirementReason } from "../users/policy.ts";
import type { UserState } from "../users/user.ts";
import type { Standing } from "../verification/standing-table.ts";

export const stateNames: Readonly<Record<UserState, string>> = {
  active: "Active",
  disabled: "Disabled",
  removed: "Removed",
};

export function reasonText(reason: RequirementReason): string {
  if (reason.startsWith("required-by-group:"))
    return `the group “${reason.slice("required-by-group:".length)}” requires it`;
  const texts: Record<string, string> = {
    "required-by-organization": "the organization requires it of everybody",
    "required-by-directory": "their directory requires it",
    "required-new-user": "they were new when new users had to use it",
    "required-by-admin": "an admin requires it",
  };
  return texts[reason] ?? reason;
}

/** Why MFA is required of a user, as one sentence. */
export function requirementText(user: Standing["user"]): string {
  const { required, requiredBy } = decideRequirement(user);
  return required ? `Required: ${requiredBy.map(reasonText).join("; ")}.` : "Not required.";
}

const actionTexts: Readonly<Record<Exclude<AuditAction, "verification">, string>> = {
  "enrollment-begin": "Began to register a device",
  "enrollment-confirm": "Registered a device",
  "enrollment-pass-issue": "Enrollment pass handed out",
  "mfa-disable": "MFA disabled",
  "backup-codes-regenerate": "Backup codes regenerated",
  "mfa-require": "MFA required by an admin",
  "mfa-unrequire": "No longer required by an admin",
  "requirement-end": "MFA no longer required",
  unlock: "Unlocked",
  "user-refresh": "Read from the directory on demand",
  "user-remove": "Removed: the directory does not list them any more",
  "user-purge": "Purged",
  "user-rekey": "Now under another directory id",
  "sync-run": "Sync run",
  "sync-hold": "Sync run held",
  "sync-approve": "Held run approved",
  "directory-rename": "Directory renamed",
  "directory-retire": "Directory retired",
  "directory-accept-server": "Server of a directory accepted",
  "directory-rekey": "Users of a directory put under other directory ids",
  "policy-change": "MFA policy changed",
  "key-rotate": "Key rotated",
  "notice-retry": "Notices tried again",
  "database-restored": "Database restored from a backup",
  "database-copy": "Database copied",
  "seal-broken": "A stored secret could not be opened",
  "audit-accept": "Break of the audit chain accepted",
  "audit-cut": "Old audit events deleted",
};

const outcomeTexts: Readonly<Record<string, string>> = {
  accepted: "accepted",
  "wrong-code": "wrong",
  malformed: "not a code",
  replayed: "used before",
  "locked-out": "not looked at: too many wrong ones before",
};

/** What an event tells, in a few words. */
export function eventText(event: Pick<AuditEvent, "action" | "outcome" | "details">): string {
  const { action, outcome, details } = event;
  if (action === "verification") {
    const method = String(details.method ?? "");
    const kind =
      method === "totp" ? "Code from the app" : method === "backup-code" ? "Backup code" : "Enrollment pass";
    return `${kind}: ${outcomeTexts[outcome] ?? outcome}`;
  }
  const text = actionTexts[action];
  return outcome === "done" || action.startsWith("sync-") ? text : `${text}: ${outcome}`;
}

/** Through what it was done. */
export const viaNames: Readonly<Record<AuditEvent["via"], string>> = {
  api: "API",
  cli: "command line",
  sync: "sync",
  daemon: "dirmfa itself",
  console: "console",
};

/** What a notice tells, for those who look after its delivery. */
export const noticeNames: Readonly<Record<NoticeKind, string>> = {
  enrolled: "Registered a device",
  replaced: "Replaced the device",
  disabled: "Disabled MFA",
  "disabled-by-admin": "MFA disabled by an admin",
  "backup-code-used": "Backup code used",
  "locked-out": "Locked after wrong codes",
  "run-held": "Sync run held",
  "seal-broken": "A stored secret could not be opened",
  "must-enroll": "Must enroll",
  reminder: "Must enroll soon",
  "runs-failed": "Sync runs fail",
  "directory-stale": "Directory not read for long",
  "audit-chain-broken": "Audit chain broken",
};
