// Failed codes and the lockout that they reach (rules 18 and 19).

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { disableMfa } from "../../src/verification/disable-mfa.ts";
import { spendStep } from "../../src/verification/guard-table.ts";
import { recordEndedLockouts } from "../../src/verification/lockouts-table.ts";
import { regenerateBackupCodes } from "../../src/verification/regenerate-backup-codes.ts";
import { verificationStateOf } from "../../src/verification/status-of.ts";
import { unlockUser } from "../../src/verification/unlock-user.ts";
import {
  admin,
  caller,
  type EnrolledUser,
  openVerificationWorld,
  type VerificationWorld,
} from "./verification-world.ts";

let world: VerificationWorld;
beforeAll(async () => {
  world = await openVerificationWorld();
});
afterAll(() => world.close());

const wrongBackupCode = "0000-0000-0000";

async function fail(user: EnrolledUser, times: number, deps?: VerificationDeps) {
  for (let failure = 0; failure < times; failure++)
    await world.verify(user, world.wrongCodeOf(user), "totp", deps);
}

/** Moves the end of a lockout, in place of waiting for it. */
const endLockout = (user: EnrolledUser, at: string) =>
  world.database
    .db("lockouts")
    .where({ user_id: user.id, method: "totp" })
    .update({ locked_until: world.database.db.raw(at) });

async function lockedForMs(user: EnrolledUser): Promise<number> {
  const { rows } = await world.database.db.raw(
    `select extract(epoch from locked_until - clock_timestamp()) * 1000 as ms from lockouts
     where user_id = :id and method = 'totp'`,
    { id: user.id },
  );
  return Number(rows[0].ms);
}

test("after four failures a right code is accepted, after five it is not", async () => {
  const [four, five] = [await world.addEnrolledUser(), await world.addEnrolledUser()];
  await fail(four, 4);
  await fail(five, 5);
  expect(await world.verify(four, world.codeOf(four))).toMatchObject({ outcome: "accepted" });
  const answer = await world.verify(five, world.codeOf(five));
  expect(answer).toMatchObject({ outcome: "locked-out" });
  expect(answer.outcome === "locked-out" && answer.lockedUntil.getTime() - Date.now()).toBeGreaterThan(
    50_000,
  );
});

test("a lockout is one event with the number that it refused, told when the user comes back after it", async () => {
  const user = await world.addEnrolledUser();
  await fail(user, 25);
  const during = (await world.events(user.id)).slice(-2);
  expect(during[0]?.details).not.toHaveProperty("lockedUntil");
  expect(during[1]).toMatchObject({ outcome: "wrong-code", details: { lockedUntil: expect.any(String) } });
  await endLockout(user, "clock_timestamp()");
  await Promise.all([1, 2, 3].map(() => world.verify(user, world.codeOf(user))));
  const after = (await world.events(user.id)).slice(-4);
  expect(after.map(({ outcome }) => outcome).sort()).toEqual([
    "accepted",
    "already-spent",
    "already-spent",
    "locked-out",
  ]);
  expect(after.find(({ outcome }) => outcome === "locked-out")?.details).toEqual({
    method: "totp",
    refused: 20,
    lockedUntil: expect.any(String),
  });
});

test("a lockout after which nobody comes back is told by the housekeeping, once", async () => {
  const user = await world.addEnrolledUser();
  await fail(user, 8);
  const tell = () => world.database.db.transaction((trx) => recordEndedLockouts(trx, 500));
  await tell();
  expect((await world.events(user.id)).at(-1)).toMatchObject({ outcome: "wrong-code" });
  await endLockout(user, "clock_timestamp()");
  await tell();
  await tell();
  const events = (await world.events(user.id)).filter(({ outcome }) => outcome === "locked-out");
  expect(events).toMatchObject([{ action: "verification", details: { method: "totp", refused: 3 } }]);
  expect(await world.verify(user, world.codeOf(user))).toMatchObject({ outcome: "accepted" });
});

test("failures before a success are forgotten", async () => {
  const user = await world.addEnrolledUser();
  await fail(user, 4);
  await world.verify(user, world.codeOf(user));
  await fail(user, 4);
  world.clock.step();
  expect(await world.verify(user, world.codeOf(user))).toMatchObject({ outcome: "accepted" });
});

test("a spent code typed again is refused and is not counted as a failure", async () => {
  const user = await world.addEnrolledUser();
  const code = world.codeOf(user);
  await world.verify(user, code);
  for (let again = 0; again < 10; again++)
    expect(await world.verify(user, code)).toEqual({ outcome: "code-rejected" });
  world.clock.step();
  expect(await world.verify(user, world.codeOf(user))).toMatchObject({ outcome: "accepted" });
});

test("a lockout holds to its last moment and ends by the database's clock alone", async () => {
  const user = await world.addEnrolledUser();
  await fail(user, 5);
  const before = world.clock.now();
  world.clock.set(new Date("2040-01-01T00:00:00Z"));
  expect(await world.verify(user, world.codeOf(user))).toMatchObject({ outcome: "locked-out" });
  world.clock.set(before);
  await endLockout(user, "clock_timestamp() + interval '5 seconds'");
  expect(await world.verify(user, world.codeOf(user))).toMatchObject({ outcome: "locked-out" });
  await endLockout(user, "clock_timestamp()");
  expect(await world.verify(user, world.codeOf(user))).toMatchObject({ outcome: "accepted" });
});

describe("the length of a lockout", () => {
  const lockOutFor = async (user: EnrolledUser, expectedMs: number, deps: VerificationDeps) => {
    await fail(user, 2, deps);
    const ms = await lockedForMs(user);
    expect(ms).toBeLessThanOrEqual(expectedMs);
    expect(ms).toBeGreaterThan(expectedMs - 10_000);
    await endLockout(user, "clock_timestamp()");
  };
  const succeed = async (user: EnrolledUser, times: number, deps: VerificationDeps) => {
    for (let success = 0; success < times; success++) {
      world.clock.step();
      await world.verify(user, world.codeOf(user), "totp", deps);
    }
  };
  const lockout = { failures: 2, firstMs: 60_000, maximumMs: 200_000 };

  test("doubles each time, up to the maximum", async () => {
    const user = await world.addEnrolledUser();
    const deps = await world.replica({ lockout });
    for (const expected of [60_000, 120_000, 200_000, 200_000]) await lockOutFor(user, expected, deps);
  });

  test("takes one step back for a success, and not more", async () => {
    const user = await world.addEnrolledUser();
    const deps = await world.replica({ lockout });
    await lockOutFor(user, 60_000, deps);
    await lockOutFor(user, 120_000, deps);
    // The first one after a lockout ends the matter, and takes nothing back yet.
    await succeed(user, 2, deps);
    await lockOutFor(user, 120_000, deps);
    await succeed(user, 6, deps);
    await lockOutFor(user, 60_000, deps);
  });

  test("stays for a success that comes after a lockout or a failure, however many there are", async () => {
    const user = await world.addEnrolledUser();
    const deps = await world.replica({ lockout });
    await lockOutFor(user, 60_000, deps);
    await succeed(user, 1, deps);
    for (let day = 0; day < 3; day++) {
      await fail(user, 1, deps);
      await succeed(user, 1, deps);
    }
    await lockOutFor(user, 120_000, deps);
    await succeed(user, 1, deps);
    await lockOutFor(user, 200_000, deps);
  });
});

test("after a thousand lockouts the next one lasts for the maximum", async () => {
  const user = await world.addEnrolledUser();
  await world.database.db("lockouts").where({ user_id: user.id }).update({ level: 1_000 });
  await fail(user, 5);
  expect(await lockedForMs(user)).toBeGreaterThan(86_300_000);
});

test("each kind of code has its own lockout", async () => {
  const user = await world.addEnrolledUser();
  await fail(user, 5);
  expect(await world.verify(user, user.backupCodes[0] ?? "", "backup-code")).toMatchObject({
    outcome: "accepted",
  });
  for (let failure = 0; failure < 5; failure++) await world.verify(user, wrongBackupCode, "backup-code");
  expect(await world.verify(user, user.backupCodes[1] ?? "", "backup-code")).toMatchObject({
    outcome: "locked-out",
  });
});

test("another user is not locked out", async () => {
  const [one, two] = [await world.addEnrolledUser(), await world.addEnrolledUser()];
  await fail(one, 5);
  expect(await world.verify(two, world.codeOf(two))).toMatchObject({ outcome: "accepted" });
});

describe("every path that takes a code", () => {
  test("counts towards the one lockout", async () => {
    const user = await world.addEnrolledUser();
    const input = () => ({ name: user, totpAsTyped: world.wrongCodeOf(user), actor: caller });
    await disableMfa(world.deps, input());
    await disableMfa(world.deps, input());
    await regenerateBackupCodes(world.deps, input());
    await regenerateBackupCodes(world.deps, input());
    await world.verify(user, world.wrongCodeOf(user));
    expect(await disableMfa(world.deps, { ...input(), totpAsTyped: world.codeOf(user) })).toMatchObject({
      outcome: "locked-out",
    });
  });
});

test("whatever a lockout refuses is counted with it, of every kind and on every path", async () => {
  const user = await world.addEnrolledUser();
  await fail(user, 5);
  for (let failure = 0; failure < 7; failure++) await world.verify(user, wrongBackupCode, "backup-code"); // 2 are refused
  const input = () => ({ name: user, totpAsTyped: world.codeOf(user), actor: caller });
  const refused = [
    await disableMfa(world.deps, input()),
    await regenerateBackupCodes(world.deps, input()),
    await beginEnrollment(world.deps, input()),
    await world.verify(user, world.codeOf(user), "totp", await world.replica()),
  ];
  expect(refused.map(({ outcome }) => outcome)).toEqual(Array(4).fill("locked-out"));
  await unlockUser(world.deps, { userId: user.id, actor: admin });
  expect((await world.events(user.id)).at(-1)?.details).toEqual({
    methods: ["backup-code", "totp"],
    refused: 6,
  });
});

test("a right code that meets a lockout only when it is spent, is not spent", async () => {
  const user = await world.addEnrolledUser();
  await fail(user, 5);
  const authenticator = await world.database.db("authenticators").where({ user_id: user.id }).first();
  const attempt = {
    userId: user.id,
    directory: "main",
    method: "totp",
    actor: caller,
    mismatch: undefined,
    details: {},
  } as const;
  const code = {
    authenticatorId: authenticator.id,
    state: "active",
    step: Number(authenticator.last_step) + 5,
  } as const;
  expect(await spendStep(world.deps.db, attempt, world.deps.mfa.lockout, code)).toMatchObject({
    outcome: "locked-out",
  });
  expect(await world.database.db("authenticators").where({ user_id: user.id }).first()).toEqual(
    authenticator,
  );
});

test("another replica, as after a restart, knows the lockout", async () => {
  const user = await world.addEnrolledUser();
  await fail(user, 5);
  expect(await world.verify(user, world.codeOf(user), "totp", await world.replica())).toMatchObject({
    outcome: "locked-out",
  });
});

test("an admin ends a lockout, and the event names the kinds", async () => {
  const user = await world.addEnrolledUser();
  await fail(user, 7);
  expect(await verificationStateOf(world.deps, { userId: user.id })).toMatchObject({
    lockouts: [
      { method: "totp", failures: 0, lockedUntil: expect.any(Date) },
      { method: "backup-code", lockedUntil: null },
      { method: "enrollment-pass", lockedUntil: null },
    ],
  });
  expect(await unlockUser(world.deps, { userId: user.id, actor: admin })).toEqual({
    outcome: "unlocked",
    methods: ["totp"],
  });
  expect((await world.events(user.id)).at(-1)).toMatchObject({
    action: "unlock",
    details: { methods: ["totp"], refused: 2 },
  });
  expect(await world.verify(user, world.codeOf(user))).toMatchObject({ outcome: "accepted" });
});

test("a user whose lockout row was taken away is let in by no code", async () => {
  const user = await world.addEnrolledUser();
  await world.database.db("lockouts").where({ user_id: user.id }).delete();
  await expect(world.verify(user, world.codeOf(user))).rejects.toThrow("no lockout row");
});
