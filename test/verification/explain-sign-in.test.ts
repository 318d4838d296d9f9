// The sentence for the help desk: whether a user can sign in and, if not, why. It never says less than the decision lets in.

import { expect, test } from "vitest";
import type { User } from "../../src/users/user.ts";
import { signInDecision } from "../../src/verification/decide-sign-in.ts";
import { explainSignIn } from "../../src/verification/explain-sign-in.ts";
import type { Authenticator, BackupCodeSet, Standing } from "../../src/verification/standing-table.ts";
import { someUser } from "../support/some-user.ts";

const now = new Date("2026-03-01T12:00:00Z");
const soon = new Date("2026-03-01T12:10:00Z");
const past = new Date("2026-03-01T11:59:00Z");

const user = someUser({ directory: "main", createdAt: past, changedAt: past });
const authenticator: Authenticator = {
  id: "1",
  state: "active",
  keyId: "1",
  sealed: Buffer.alloc(0),
  confirmedAt: past,
  expiresAt: null,
  replaces: null,
  withPass: false,
};
const codes = (remaining: number): BackupCodeSet => ({
  id: "1",
  kdf: "",
  salt: Buffer.alloc(0),
  keyId: "1",
  sealed: Buffer.alloc(0),
  remaining,
});
const free = { failures: 0, lockedUntil: null };
const locked = { failures: 5, lockedUntil: soon };
const lockouts = { totp: free, "backup-code": free, "enrollment-pass": free };

interface Case {
  user?: Partial<User>;
  standing?: Partial<Standing>;
  passUntil?: Date;
}

function standingOf({ user: facts, standing }: Case): Standing {
  const bare = { now, authenticator: undefined, pending: undefined, backupCodes: undefined, lockouts };
  return { ...bare, ...standing, user: { ...user, ...facts } };
}

const required = { requiredByAdmin: true, requiredSince: past, enrollmentDeadline: past };
const asksForPass = { policyRequires: { ...user.policyRequires, enrollmentPass: true } };
const enrolled = { authenticator, backupCodes: codes(3) };

const cases: [boolean, RegExp, Case][] = [
  [false, /does not list this user/, { user: { state: "removed" } }],
  [false, /disabled this user/, { user: { state: "disabled" } }],
  [false, /not in the configuration/, { user: { directory: "elsewhere" } }],
  [true, /^With the password alone: MFA is not required/, {}],
  [true, /or a backup code\.$/, { standing: enrolled }],
  [true, /no backup codes left\.$/, { standing: { authenticator, backupCodes: codes(0) } }],
  [
    true,
    /^With the password and a backup code; .* wrong codes from the app/,
    { standing: { ...enrolled, lockouts: { ...lockouts, totp: locked } } },
  ],
  [
    true,
    /^With the password and a code from the app; .* wrong backup codes/,
    { standing: { ...enrolled, lockouts: { ...lockouts, "backup-code": locked } } },
  ],
  [
    false,
    /too many wrong codes/,
    { standing: { ...enrolled, lockouts: { ...lockouts, totp: locked, "backup-code": locked } } },
  ],
  [
    false,
    /too many wrong codes/,
    { standing: { authenticator, backupCodes: codes(0), lockouts: { ...lockouts, totp: locked } } },
  ],
  [
    true,
    /or a backup code\.$/,
    { standing: { ...enrolled, lockouts: { ...lockouts, totp: { failures: 5, lockedUntil: past } } } },
  ],
  [true, /asked of them at the next sign-in/, { user: required }],
  [true, /until the deadline/, { user: { ...required, enrollmentDeadline: soon } }],
  [false, /needs an enrollment pass, which they do not have/, { user: { ...required, ...asksForPass } }],
  [false, /which they do not have/, { user: { ...required, ...asksForPass }, passUntil: past }],
  [true, /asked of them/, { user: { ...required, ...asksForPass }, passUntil: soon }],
  // Until the deadline the password lets in, with or without a pass.
  [true, /until the deadline/, { user: { ...required, ...asksForPass, enrollmentDeadline: soon } }],
  [
    false,
    /too many wrong enrollment passes/,
    {
      user: { ...required, ...asksForPass },
      passUntil: soon,
      standing: { lockouts: { ...lockouts, "enrollment-pass": locked } },
    },
  ],
];

test.each(cases)("%s: %s", (can, text, facts) => {
  const standing = standingOf(facts);
  const answer = explainSignIn(standing, ["main"], facts.passUntil ?? null);
  expect(answer).toEqual({ can, text: expect.stringMatching(text) });
  // Whom the decision turns away cannot, whatever else is said of them.
  if (signInDecision(standing, { directories: ["main"] }).decision === "deny") expect(answer.can).toBe(false);
});
