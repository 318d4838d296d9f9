// F5, F6 and the replacement of an authenticator (rules 14 and 15).

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import { confirmEnrollment } from "../../src/verification/confirm-enrollment.ts";
import { spendStep } from "../../src/verification/guard-table.ts";
import { caller, openVerificationWorld, secretOf, type VerificationWorld } from "./verification-world.ts";

let world: VerificationWorld;
beforeAll(async () => {
  world = await openVerificationWorld();
});
afterAll(() => world.close());

const begin = (username: string, totpAsTyped?: string) =>
  beginEnrollment(world.deps, { name: { username }, totpAsTyped, actor: caller });
const beginWithBackupCode = (
  { username }: { username: string },
  backupCodeAsTyped: string | undefined,
  deps = world.deps,
) => beginEnrollment(deps, { name: { username }, backupCodeAsTyped, actor: caller });
const confirm = (username: string, totpAsTyped: string) =>
  confirmEnrollment(world.deps, { name: { username }, totpAsTyped, actor: caller });

async function begun(username: string, totpAsTyped?: string) {
  const answer = await begin(username, totpAsTyped);
  if (answer.outcome !== "begun") throw new Error(answer.outcome);
  return { ...answer, secret: secretOf(answer.secretPlain) };
}

test("beginning shows a 160-bit secret, its URI and both QR codes, and until when", async () => {
  const user = await world.addUser();
  const { secretPlain, uri, qrSvg, qrPng, expiresAt } = await begun(user.username);
  expect(secretPlain).toMatch(/^[A-Z2-7]{32}$/);
  expect(uri).toBe(
    `otpauth://totp/ACME:${user.username}?secret=${secretPlain}&issuer=ACME&algorithm=SHA1&digits=6&period=30`,
  );
  expect(qrSvg).toMatch(/^<svg /);
  expect(qrPng).toMatch(/^data:image\/png;base64,/);
  expect(expiresAt.getTime() - Date.now()).toBeGreaterThan(500_000);
});

test("the first code confirms the enrollment and shows as many different backup codes as are configured", async () => {
  const user = await world.addUser();
  const { secret } = await begun(user.username);
  const ten = await world.replica({ backupCodes: { count: 10 } });
  const totpAsTyped = world.codeOf({ secret });
  const answer = await confirmEnrollment(ten, { name: user, totpAsTyped, actor: caller });
  if (answer.outcome !== "confirmed") throw new Error(answer.outcome);
  expect(answer.user.id).toBe(user.id);
  expect(new Set(answer.backupCodes)).toHaveProperty("size", 10);
  expect((await world.events(user.id)).map(({ action, outcome }) => [action, outcome])).toEqual([
    ["enrollment-begin", "done"],
    ["verification", "accepted"],
    ["enrollment-confirm", "done"],
  ]);
});

test("the code that confirmed is spent", async () => {
  const user = await world.addUser();
  const { secret } = await begun(user.username);
  const code = world.codeOf({ secret });
  await confirm(user.username, code);
  expect(await world.verify(user, code)).toEqual({ outcome: "code-rejected" });
});

test("a wrong code confirms nothing, and the right one still does", async () => {
  const user = await world.addUser();
  const { secret } = await begun(user.username);
  expect(await confirm(user.username, world.wrongCodeOf({ secret }))).toEqual({
    outcome: "code-rejected",
  });
  expect(await world.verify(user, world.codeOf({ secret }))).toEqual({ outcome: "not-enrolled" });
  expect(await confirm(user.username, world.codeOf({ secret }))).toMatchObject({
    outcome: "confirmed",
  });
});

test("beginning again forgets the secret before", async () => {
  const user = await world.addUser();
  const first = await begun(user.username);
  const second = await begun(user.username);
  expect(second.secretPlain).not.toBe(first.secretPlain);
  expect(await confirm(user.username, world.codeOf(first))).toEqual({
    outcome: "code-rejected",
  });
  expect(await confirm(user.username, world.codeOf(second))).toMatchObject({
    outcome: "confirmed",
  });
});

test("an enrollment can be confirmed until it expires, and not a moment later", async () => {
  const user = await world.addUser();
  const { secret } = await begun(user.username);
  await world.database
    .db("authenticators")
    .where({ user_id: user.id })
    .update({ expires_at: world.database.db.raw("clock_timestamp()") });
  expect(await confirm(user.username, world.codeOf({ secret }))).toEqual({
    outcome: "enrollment-expired",
  });
  expect(await world.verify(user, world.codeOf({ secret }))).toEqual({ outcome: "not-enrolled" });
});

test("an enrollment that expires between reading and spending is not confirmed", async () => {
  const user = await world.addUser();
  await begun(user.username);
  const { db } = world.database;
  await db("authenticators")
    .where({ user_id: user.id })
    .update({ expires_at: db.raw("clock_timestamp()") });
  const pending = await db("authenticators").where({ user_id: user.id }).first();
  const attempt = {
    userId: user.id,
    directory: "main",
    method: "totp",
    actor: caller,
    mismatch: undefined,
    details: {},
  } as const;
  const code = { authenticatorId: pending.id, state: "pending", step: 5 } as const;
  expect(await spendStep(db, attempt, world.deps.mfa.lockout, code)).toMatchObject({
    outcome: "already-spent",
  });
  expect(await db("authenticators").where({ user_id: user.id }).first()).toEqual(pending);
});

test("confirming what was never begun is refused, and tells whether an authenticator is active", async () => {
  const user = await world.addUser();
  const enrolled = await world.addEnrolledUser();
  expect(await confirm(user.username, "123456")).toEqual({ outcome: "not-enrolled" });
  expect(await confirm(enrolled.username, "123456")).toEqual({ outcome: "already-enrolled" });
});

describe("with an active authenticator", () => {
  test("beginning without its code is refused", async () => {
    const user = await world.addEnrolledUser();
    expect(await begin(user.username)).toEqual({ outcome: "already-enrolled" });
  });

  test("beginning with a wrong code, or a backup code in the place of a code of the app, is refused", async () => {
    const user = await world.addEnrolledUser();
    const wrong = world.wrongCodeOf(user);
    expect(await begin(user.username, wrong)).toEqual({ outcome: "code-rejected" });
    expect(await begin(user.username, user.backupCodes[0])).toEqual({ outcome: "code-rejected" });
  });

  test("who has lost it begins with a backup code, and all else stays until the new one is confirmed (F15)", async () => {
    const user = await world.addEnrolledUser();
    const [first = "", second = "", third = ""] = user.backupCodes;
    const replacement = await beginWithBackupCode(user, first);
    expect(await beginWithBackupCode(user, first)).toEqual({ outcome: "code-rejected" });
    // Given up here, the user has lost one backup code and nothing else.
    expect(await world.verify(user, second, "backup-code")).toMatchObject({ outcome: "accepted" });
    expect(await world.verify(user, world.codeOf(user))).toMatchObject({ outcome: "accepted" });

    if (replacement.outcome !== "begun") throw new Error(replacement.outcome);
    const secret = secretOf(replacement.secretPlain);
    const confirmed = await confirm(user.username, world.codeOf({ secret }));
    if (confirmed.outcome !== "confirmed") throw new Error(confirmed.outcome);
    world.clock.step();
    expect(await world.verify(user, world.codeOf(user))).toEqual({ outcome: "code-rejected" });
    expect(await world.verify(user, third, "backup-code")).toEqual({ outcome: "code-rejected" });
    expect(await world.verify(user, confirmed.backupCodes[0] ?? "", "backup-code")).toMatchObject({
      outcome: "accepted",
    });
    expect(await world.verify(user, world.codeOf({ secret }))).toMatchObject({ outcome: "accepted" });
    expect((await world.events(user.id)).slice(3, 5)).toMatchObject([
      {
        action: "verification",
        outcome: "accepted",
        details: { method: "backup-code", purpose: "replace-authenticator" },
      },
      { action: "enrollment-begin", details: { replaces: true } },
    ]);
  });

  test("backup codes that are typed to replace it are guarded: wrong ones lock them out, as at a sign-in (rule 18)", async () => {
    const user = await world.addEnrolledUser();
    for (let i = 0; i < 5; i++) {
      expect(await beginWithBackupCode(user, "0000-0000-0000")).toEqual({ outcome: "code-rejected" });
    }
    expect(await beginWithBackupCode(user, user.backupCodes[0])).toMatchObject({ outcome: "locked-out" });
    expect(await world.verify(user, user.backupCodes[0] ?? "", "backup-code")).toMatchObject({
      outcome: "locked-out",
    });
  });

  test("with mfa.replaceWithBackupCode off a backup code begins nothing, and is neither looked at nor spent", async () => {
    const user = await world.addEnrolledUser();
    const strict = await world.replica({ replaceWithBackupCode: false });
    for (const code of [user.backupCodes[0], ...Array.from({ length: 6 }, () => "wrong")]) {
      expect(await beginWithBackupCode(user, code, strict)).toEqual({ outcome: "already-enrolled" });
    }
    expect(await world.verify(user, user.backupCodes[0] ?? "", "backup-code")).toMatchObject({
      outcome: "accepted",
    });
  });

  test("of any number of beginnings with one backup code at once, one begins", async () => {
    const user = await world.addEnrolledUser();
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => beginWithBackupCode(user, user.backupCodes[0])),
    );
    expect(answers.filter(({ outcome }) => outcome === "begun")).toHaveLength(1);
  });

  test("the old one works until the new one is confirmed, and neither it nor its backup codes after", async () => {
    const user = await world.addEnrolledUser();
    const replacement = await begun(user.username, world.codeOf(user));
    world.clock.step();
    expect(await world.verify(user, world.codeOf(user))).toMatchObject({
      outcome: "accepted",
    });
    const confirmed = await confirm(user.username, world.codeOf(replacement));
    expect(confirmed).toMatchObject({ outcome: "confirmed" });
    world.clock.step();
    expect(await world.verify(user, world.codeOf(user))).toEqual({
      outcome: "code-rejected",
    });
    expect(await world.verify(user, user.backupCodes[0] ?? "", "backup-code")).toEqual({
      outcome: "code-rejected",
    });
    expect(await world.verify(user, world.codeOf(replacement))).toMatchObject({
      outcome: "accepted",
      backupCodesRemaining: 4,
    });
  });

  test("the code that allowed the replacement is spent", async () => {
    const user = await world.addEnrolledUser();
    const code = world.codeOf(user);
    await begun(user.username, code);
    expect(await world.verify(user, code)).toEqual({ outcome: "code-rejected" });
    expect(await begin(user.username, code)).toEqual({ outcome: "code-rejected" });
  });

  test("a code for an authenticator that is not there is refused", async () => {
    const user = await world.addUser();
    expect(await begin(user.username, "123456")).toEqual({ outcome: "not-enrolled" });
    expect(await beginWithBackupCode(user, "0000-0000-0000")).toEqual({ outcome: "not-enrolled" });
  });
});

test.each(["disabled", "removed"] as const)("a %s user can neither begin nor confirm", async (state) => {
  const user = await world.addUser({ state });
  expect(await begin(user.username)).toEqual({ outcome: "user-not-active", state });
  expect(await confirm(user.username, "123456")).toEqual({ outcome: "user-not-active", state });
});

test("a name that matches no one, or two users, begins nothing", async () => {
  await world.addUser({ username: "twice", directory: "one" });
  await world.addUser({ username: "twice", directory: "two" });
  expect(await begin("nobody-of-that-name")).toEqual({ outcome: "user-unknown" });
  expect(await begin("TWICE ")).toEqual({ outcome: "username-ambiguous", directories: ["one", "two"] });
});
