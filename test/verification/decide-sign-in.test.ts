// F7: the decision, and what each state of a user makes of it (rules 11, 13 and 14).

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { applyPolicy } from "../../src/users/apply-policy.ts";
import { mfaPolicyOf } from "../../src/users/policy.ts";
import { setRequiredByAdmin } from "../../src/users/require-mfa.ts";
import type { SignInDecision } from "../../src/verification/answers.ts";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import { decideSignIn } from "../../src/verification/decide-sign-in.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { disableMfaByAdmin } from "../../src/verification/disable-mfa.ts";
import { statusOf } from "../../src/verification/status-of.ts";
import {
  admin,
  caller,
  openVerificationWorld,
  type TestUser,
  type VerificationWorld,
} from "./verification-world.ts";

let world: VerificationWorld;
beforeAll(async () => {
  world = await openVerificationWorld();
});
// Some tests put another policy in force.
beforeEach(() => world.replica());
afterAll(() => world.close());

async function decide(
  name: { username: string; directory?: string },
  deps = world.deps,
): Promise<SignInDecision> {
  const answer = await decideSignIn(deps, { name });
  if (answer.outcome !== "decided") throw new Error(answer.outcome);
  return answer;
}

async function require(user: TestUser, deps: VerificationDeps) {
  await setRequiredByAdmin(deps, { userId: user.id, required: true, actor: admin });
}

async function lock(user: TestUser, method: "totp" | "backup-code", until: string) {
  const { db } = world.database;
  await db("lockouts")
    .where({ user_id: user.id, method })
    .update({ locked_until: db.raw(until) });
}

test("a user who need not enroll and has not is allowed", async () => {
  const user = await world.addUser();
  expect(await decide(user)).toMatchObject({
    decision: "allow",
    reasons: ["not-required"],
    user: { id: user.id },
    methods: [],
    enrollment: null,
  });
});

test("a begun enrollment asks for nothing yet", async () => {
  const user = await world.addUser();
  await beginEnrollment(world.deps, { name: user, actor: caller });
  expect(await decide(user)).toMatchObject({ decision: "allow" });
});

test("an enrolled user is challenged for a TOTP or backup code, required or not", async () => {
  const user = await world.addEnrolledUser();
  expect(await decide(user)).toMatchObject({
    decision: "challenge",
    reasons: ["enrolled"],
    methods: ["totp", "backup-code"],
    backupCodesRemaining: 4,
    lockedUntil: null,
  });
  expect(await decide(user, await world.replica({ mode: "required" }))).toMatchObject({
    decision: "challenge",
    reasons: ["enrolled", "required-by-organization"],
  });
});

test("without backup codes left only TOTP is asked for", async () => {
  const user = await world.addEnrolledUser();
  for (const codeAsTyped of user.backupCodes) {
    await world.verify(user, codeAsTyped, "backup-code");
  }
  expect(await decide(user)).toMatchObject({
    decision: "challenge",
    methods: ["totp"],
    backupCodesRemaining: 0,
  });
});

describe("a required user who has not enrolled", () => {
  test("must enroll now without a grace period", async () => {
    const user = await world.addUser();
    await require(user, world.deps);
    expect(await decide(user)).toMatchObject({
      decision: "enroll",
      reasons: ["required-by-admin"],
      enrollment: { mayDefer: false },
    });
  });

  test("may defer until the deadline, which asking does not move", async () => {
    const user = await world.addUser();
    await require(user, await world.replica({ enrollmentGraceMs: 3_600_000 }));
    const first = await decide(user);
    expect(first).toMatchObject({ decision: "enroll", enrollment: { mayDefer: true } });
    expect((await decide(user)).enrollment).toEqual(first.enrollment);
    const { db } = world.database;
    await db("users")
      .where({ id: user.id })
      .update({ enrollment_deadline: db.raw("clock_timestamp()") });
    expect(await decide(user)).toMatchObject({ decision: "enroll", enrollment: { mayDefer: false } });
  });

  test.each([
    { keepGrace: undefined, mayDefer: false },
    { keepGrace: true, mayDefer: true },
  ])(
    "after a reset by an admin in the grace period, with keepGrace $keepGrace: may defer is $mayDefer",
    async ({ keepGrace, mayDefer }) => {
      const user = await world.addEnrolledUser();
      await require(user, await world.replica({ enrollmentGraceMs: 3_600_000 }));
      await disableMfaByAdmin(world.deps, { userId: user.id, actor: admin, keepGrace });
      expect(await decide(user)).toMatchObject({ decision: "enroll", enrollment: { mayDefer } });
      // Neither the start of another replica nor a reset that finds nothing gives the grace back, or takes it.
      const { db, mfa, directories } = await world.replica({ enrollmentGraceMs: 3_600_000 });
      await applyPolicy({ db, policy: mfaPolicyOf(mfa), directories }, admin);
      await disableMfaByAdmin(world.deps, { userId: user.id, actor: admin });
      expect(await decide(user)).toMatchObject({ decision: "enroll", enrollment: { mayDefer } });
      expect(
        (await world.events(user.id)).find(({ action }) => action === "mfa-disable")?.details,
      ).toMatchObject({
        graceEnded: !mayDefer,
      });
    },
  );

  test("a reset while nothing requires MFA ends the grace that the same requirement would go on with", async () => {
    const user = await world.addEnrolledUser();
    const deps = await world.replica({ enrollmentGraceMs: 3_600_000 });
    await require(user, deps);
    await setRequiredByAdmin(deps, { userId: user.id, required: false, actor: admin });
    await disableMfaByAdmin(deps, { userId: user.id, actor: admin });
    expect(await decide(user)).toMatchObject({ decision: "allow" });
    await require(user, deps);
    expect(await decide(user)).toMatchObject({ decision: "enroll", enrollment: { mayDefer: false } });
  });

  test("may not defer where the beginning of the requirement is not stored", async () => {
    const user = await world.addUser();
    const strict = await world.replica({ mode: "required", enrollmentGraceMs: 3_600_000 });
    expect(await decide(user, strict)).toMatchObject({
      decision: "enroll",
      reasons: ["required-by-organization"],
      enrollment: { deadline: null, mayDefer: false },
    });
  });
});

describe("a locked out user", () => {
  test("is challenged for the kind of code that is left", async () => {
    const user = await world.addEnrolledUser();
    await lock(user, "totp", "clock_timestamp() + interval '1 hour'");
    expect(await decide(user)).toMatchObject({
      decision: "challenge",
      methods: ["backup-code"],
      lockedUntil: expect.any(Date),
    });
  });

  test("is denied when no kind is left, until the first one ends", async () => {
    const user = await world.addEnrolledUser();
    await lock(user, "totp", "clock_timestamp() + interval '2 hours'");
    await lock(user, "backup-code", "clock_timestamp() + interval '1 hour'");
    const decision = await decide(user);
    expect(decision).toMatchObject({ decision: "deny", reasons: ["locked-out", "enrolled"], methods: [] });
    expect((decision.lockedUntil?.getTime() ?? 0) - Date.now()).toBeLessThan(3_700_000);
    await lock(user, "totp", "clock_timestamp()");
    expect(await decide(user)).toMatchObject({ decision: "challenge", methods: ["totp"] });
  });
});

describe("denied, whatever else holds, is", () => {
  test("a name that matches no one", async () => {
    for (const username of [
      "nobody",
      "",
      " ",
      "%",
      "' or true --",
      "\u0000",
      "a\u0000b",
      "\u0001",
      "\ud800",
      "x".repeat(10_000),
    ]) {
      expect(await decide({ username })).toMatchObject({
        decision: "deny",
        reasons: ["user-unknown"],
        user: null,
      });
    }
  });

  test("a name in a directory that is not one", async () => {
    const user = await world.addUser();
    for (const directory of ["other", "", "MAIN", "\u0000"]) {
      expect(await decide({ ...user, directory })).toMatchObject({ reasons: ["user-unknown"] });
    }
  });

  test.each(["disabled", "removed"] as const)("a %s user", async (state) => {
    const user = await world.addUser({ state });
    expect(await decide(user)).toMatchObject({
      decision: "deny",
      reasons: [`user-${state}`],
      user: { id: user.id },
    });
  });

  test("an alias that two users share", async () => {
    for (const { id } of [await world.addUser(), await world.addUser()]) {
      await world.database.db("user_aliases").insert({ alias_key: "shared@example.com", user_id: id });
    }
    expect(await decide({ username: "shared@example.com" })).toMatchObject({ reasons: ["user-unknown"] });
  });
});

test("a name in two directories is ambiguous, and is told apart by the directory", async () => {
  await world.addUser({ username: "anna", directory: "north" });
  const south = await world.addUser({ username: "anna", directory: "south" });
  expect(await decideSignIn(world.deps, { name: { username: "Anna" } })).toEqual({
    outcome: "username-ambiguous",
    directories: ["north", "south"],
  });
  expect(await decide({ username: "ANNA", directory: "south" })).toMatchObject({ user: { id: south.id } });
});

test("a decision writes nothing", async () => {
  const user = await world.addEnrolledUser();
  const before = await world.events(user.id);
  for (let again = 0; again < 3; again++) await decide(user);
  expect(await world.events(user.id)).toEqual(before);
});

describe("the status", () => {
  test("tells an enrolled user since when and with how many backup codes", async () => {
    const user = await world.addEnrolledUser();
    expect(await statusOf(world.deps, { name: user })).toMatchObject({
      outcome: "found",
      enrolled: true,
      enrolledAt: expect.any(Date),
      required: false,
      backupCodesRemaining: 4,
      mayDisable: true,
    });
  });

  test("tells a required user why, and that MFA stays", async () => {
    const user = await world.addEnrolledUser();
    await require(user, world.deps);
    expect(await statusOf(world.deps, { name: user })).toMatchObject({
      required: true,
      requiredBy: ["required-by-admin"],
      mayDisable: false,
    });
  });

  test("tells nothing of users who are unknown or not active", async () => {
    const user = await world.addUser({ state: "disabled" });
    expect(await statusOf(world.deps, { name: user })).toEqual({
      outcome: "user-not-active",
      state: "disabled",
    });
    expect(await statusOf(world.deps, { name: { username: "nobody" } })).toEqual({ outcome: "user-unknown" });
  });
});

test("an enrolled user whose code was accepted is asked again at the next sign-in", async () => {
  const user = await world.addEnrolledUser();
  const codeAsTyped = world.codeOf(user);
  await world.verify(user, codeAsTyped);
  expect(await decide(user)).toMatchObject({ decision: "challenge" });
});
