// What the verification flows take and answer, in one place for those who call them. Types only. Refusals carry the
// problem code of the HTTP API as their outcome, so that http/problems.ts is a table and no flow knows a status.

import type { Actor } from "../audit/audit-events-table.ts";
import type { RequirementReason } from "../users/policy.ts";
import type { User, UserGroup } from "../users/user.ts";

/** A kind of code that signs in. */
export type Method = "totp" | "backup-code";

/** What can be guessed; each kind has a separate lockout (rule 19). */
export type GuardedKind = Method | "enrollment-pass";

/** Who is meant, as typed. `directory` is needed only where a name lives in more than one. */
export interface UserName {
  username: string;
  directory?: string | undefined;
}

/** A code as it came in, before it is made canonical (rule 17). */
export interface TypedCode {
  method: Method;
  codeAsTyped: string;
}

export interface UserInput {
  name: UserName;
  actor: Actor;
  /** Comes when whoever asked has gone, or has been told that there is no answer: then nothing is done for them any more. */
  signal?: AbortSignal | undefined;
}

export interface UserNotActive {
  outcome: "user-not-active";
  state: "disabled" | "removed" | "directory-not-configured";
}

export type UserRefusal =
  | { outcome: "user-unknown" }
  | { outcome: "username-ambiguous"; directories: string[] }
  | UserNotActive;

/** One answer for every reason why a code is wrong; the audit event knows which (docs/decisions/0014). */
export type CodeRefusal =
  | { outcome: "code-rejected" }
  | { outcome: "locked-out"; lockedUntil: Date }
  /** The stored secret cannot be opened: key missing, or the row was tampered with. Logged and audited; not the user's fault. */
  | { outcome: "secret-unreadable"; reason: "key-missing" | "changed" };

export type BeginEnrollmentAnswer =
  | {
      outcome: "begun";
      user: User;
      /** Base32, shown this once and never again. */
      secretPlain: string;
      /** Key URI for authenticator apps; holds the secret. */
      uri: string;
      qrSvg: string;
      /** A data URL. */
      qrPng: string;
      expiresAt: Date;
    }
  | UserRefusal
  | CodeRefusal
  /** An authenticator is active, and no code came that may replace it. */
  | { outcome: "already-enrolled" }
  /** A code came, but there is no authenticator to replace. */
  | { outcome: "not-enrolled" }
  | { outcome: "enrollment-pass-required" };

export type ConfirmEnrollmentAnswer =
  | { outcome: "confirmed"; user: User /** Shown this once and never again. */; backupCodes: string[] }
  | UserRefusal
  | CodeRefusal
  | { outcome: "enrollment-expired" }
  /** It was begun without a pass, before one was required. */
  | { outcome: "enrollment-pass-required" }
  /** Nothing was begun, and an authenticator is active. */
  | { outcome: "already-enrolled" }
  /** Nothing was begun. */
  | { outcome: "not-enrolled" };

/** What is told of a user to whom signs them in. */
export interface SignedInUser extends Pick<User, "id" | "username" | "displayName" | "email" | "directory"> {
  groups: readonly Pick<UserGroup, "name">[];
}

export type VerifyCodeAnswer =
  | { outcome: "accepted"; method: Method; user: SignedInUser; backupCodesRemaining: number }
  | UserRefusal
  | CodeRefusal
  | { outcome: "not-enrolled" };

export type DisableMfaAnswer =
  | { outcome: "disabled"; user: User }
  | UserRefusal
  | CodeRefusal
  | { outcome: "not-enrolled" }
  | { outcome: "mfa-required"; requiredBy: RequirementReason[] };

export type RegenerateBackupCodesAnswer =
  | { outcome: "regenerated"; user: User /** Shown this once and never again. */; backupCodes: string[] }
  | UserRefusal
  | CodeRefusal
  | { outcome: "not-enrolled" };

/** Shown this once and never again. */
/** How somebody who hands out a pass has seen that it is them. */
export const identifications = ["in-person", "called-back", "vouched"] as const;
export type Identification = (typeof identifications)[number];

export interface IssuedPass {
  passPlain: string;
  expiresAt: Date;
}

export type IssueEnrollmentPassAnswer =
  | { outcome: "issued"; pass: IssuedPass }
  | { outcome: "already-enrolled" }
  | { outcome: "user-not-active"; state: "removed" }
  | { outcome: "user-unknown" };

export type DisableMfaByAdminAnswer =
  | { outcome: "disabled" /** Where one was asked for. */; pass: IssuedPass | undefined }
  | { outcome: "not-enrolled" }
  | { outcome: "user-unknown" };

export type UnlockUserAnswer =
  | {
      outcome: "unlocked" /** The kinds that had failures or a lockout; may be empty. */;
      methods: GuardedKind[];
    }
  | { outcome: "user-unknown" };

export type SignInReason =
  | "enrolled"
  | RequirementReason
  | "not-required"
  | "user-unknown"
  | "user-disabled"
  | "user-removed"
  | "directory-not-configured"
  | "locked-out";

export interface SignInDecision {
  outcome: "decided";
  decision: "allow" | "challenge" | "enroll" | "deny";
  reasons: SignInReason[];
  user: SignedInUser | null;
  /** The kinds of code that can be typed now: none that is locked out, no backup code when all are spent. */
  methods: Method[];
  backupCodesRemaining: number;
  /** Until when the first locked kind stays locked; null when none is. */
  lockedUntil: Date | null;
  /** Only with `enroll`: until `deadline` the user may still sign in without (rule 13). */
  enrollment: { deadline: Date | null; mayDefer: boolean; passRequired: boolean } | null;
}

export type SignInAnswer = SignInDecision | { outcome: "username-ambiguous"; directories: string[] };

export type StatusAnswer =
  | {
      outcome: "found";
      user: User;
      enrolled: boolean;
      enrolledAt: Date | null;
      required: boolean;
      requiredBy: RequirementReason[];
      backupCodesRemaining: number;
      /** Enrolled and not required to be (rule 14). */
      mayDisable: boolean;
      /** Beginning an enrollment now takes an enrollment pass. */
      passRequired: boolean;
    }
  | UserRefusal;

export interface Lockout {
  method: GuardedKind;
  /** Consecutive failures since the last success or lockout. */
  failures: number;
  /** Null when not locked out now. */
  lockedUntil: Date | null;
}

/** What an admin sees of one user beside the directory's facts. */
export interface VerificationState {
  enrolledAt: Date | null;
  /** An enrollment that was begun, is not confirmed and not expired. */
  pendingUntil: Date | null;
  /** Until when an enrollment pass can be used; null when there is none. */
  passUntil: Date | null;
  backupCodesRemaining: number;
  lockouts: Lockout[];
}
