// Rule 31: enrollment passes. Who may begin an enrollment without an authenticator, and what ends a pass.

import { beforeEach, expect, test } from "vitest";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import { confirmEnrollment } from "../../src/verification/confirm-enrollment.ts";
import { decideSignIn } from "../../src/verification/decide-sign-in.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { disableMfaByAdmin } from "../../src/verification/disable-mfa.ts";
import { issueEnrollmentPass } from "../../src/verification/enrollment-pass.ts";
import { statusOf, verificationStateOf } from "../../src/verification/status-of.ts";
import { unlockUser } from "../../src/verification/unlock-user.ts";
import {
  admin,
  caller,
  eachTestInVerificationWorld,
  secretOf,
  type TestUser,
  totpOf,
  type VerificationWorld,
} from "./verification-world.ts";

let world: VerificationWorld;
let deps: VerificationDeps;
eachTestInVerificationWorld((opened) => {
  world = opened;
});
beforeEach(async () => {
  deps = await world.replica({ enrollmentPass: "required" });
});

const begin = (user: TestUser, passAsTyped?: string, using = deps) =>
  beginEnrollment(using, { name: user, actor: caller, passAsTyped });

async function issue(user: TestUser): Promise<string> {
  const answer = await issueEnrollmentPass(deps, { userId: user.id, actor: admin });
  if (answer.outcome !== "issued") throw new Error(answer.outcome);
  return answer.pass.passPlain;
}

/** From before passes were required. */
async function addEnrolledUser() {
  await world.replica({ enrollmentPass: "optional" });
  const user = await world.addEnrolledUser();
  await world.replica({ enrollmentPass: "required" });
  return user;
}

/** Confirms what was begun, with its own code. */
function confirm(user: TestUser, begun: Awaited<ReturnType<typeof begin>>, using = deps) {
  if (begun.outcome !== "begun") throw new Error(begun.outcome);
  const totpAsTyped = totpOf(secretOf(begun.secretPlain), world.clock.now());
  return confirmEnrollment(using, { name: user, totpAsTyped, actor: caller });
}

test("where it is required, nobody begins a first enrollment without a pass, and the login service is told so", async () => {
  const user = await world.addUser();
  expect(await begin(user)).toEqual({ outcome: "enrollment-pass-required" });
  expect(await statusOf(deps, { name: user })).toMatchObject({ enrolled: false, passRequired: true });
  const everybody = await world.replica({ enrollmentPass: "required", mode: "required" });
  expect(await decideSignIn(everybody, { name: user })).toMatchObject({
    decision: "enroll",
    enrollment: { passRequired: true },
  });
  expect(await begin(user, await issue(user))).toMatchObject({ outcome: "begun" });
});

test("a pass works once, typed in any case and with or without dashes, and its use is audited without it", async () => {
  const user = await world.addUser();
  const pass = await issue(user);
  expect(pass).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
  const begun = await begin(user, ` ${pass.toLowerCase().replaceAll("-", " ")} `);
  expect(await begin(user, pass)).toEqual({ outcome: "code-rejected" });
  expect(await confirm(user, begun)).toMatchObject({ outcome: "confirmed" });
  const events = await world.events(user.id);
  expect(events.map(({ action, outcome }) => [action, outcome])).toEqual([
    ["enrollment-pass-issue", "done"],
    ["verification", "accepted"],
    ["enrollment-begin", "done"],
    ["verification", "wrong-code"],
    ["verification", "accepted"],
    ["enrollment-confirm", "done"],
  ]);
  expect(events[1]?.details).toMatchObject({ method: "enrollment-pass", purpose: "begin-enrollment" });
  expect(events[2]?.details).toMatchObject({ withPass: true });
  const stored = JSON.stringify([events, await world.database.db("enrollment_passes").select()]);
  for (const form of [pass, pass.replaceAll("-", "")]) {
    expect(stored).not.toContain(form);
    expect(world.logged.join()).not.toContain(form);
  }
});

test("of many beginnings with one pass at the same time, exactly one is begun, and it alone can be confirmed", async () => {
  const user = await world.addUser();
  const pass = await issue(user);
  const replicas = [deps, await world.replica({ enrollmentPass: "required" })];
  const tries = Array.from({ length: 6 }, (_, i) => begin(user, pass, replicas[i % 2]));
  const answers = await Promise.all(tries);
  expect(answers.filter(({ outcome }) => outcome === "begun")).toHaveLength(1);
  const begun = answers.find(({ outcome }) => outcome === "begun");
  expect(await confirm(user, begun ?? { outcome: "not-enrolled" })).toMatchObject({ outcome: "confirmed" });
});

test("a pass of another user, one that was replaced and one that is over do not begin anything", async () => {
  const [user, other] = [await world.addUser(), await world.addUser()];
  expect(await begin(user, await issue(other))).toEqual({ outcome: "code-rejected" });
  const first = await issue(user);
  const second = await issue(user);
  expect(await begin(user, first)).toEqual({ outcome: "code-rejected" });
  const endAt = (at: string) =>
    world.database
      .db("enrollment_passes")
      .where({ user_id: user.id })
      .update({ expires_at: world.database.db.raw(at) });
  await endAt("clock_timestamp()");
  expect(await verificationStateOf(deps, { userId: user.id })).toMatchObject({ passUntil: null });
  expect(await begin(user, second)).toEqual({ outcome: "code-rejected" });
  await endAt("clock_timestamp() + interval '5 seconds'");
  expect(await begin(user, second)).toMatchObject({ outcome: "begun" });
});

test("a pass row copied to another user is no pass of theirs", async () => {
  const [user, other] = [await world.addUser(), await world.addUser()];
  const pass = await issue(user);
  await world.database.db("enrollment_passes").where({ user_id: user.id }).update({ user_id: other.id });
  expect(await begin(other, pass)).toEqual({ outcome: "code-rejected" });
});

test("wrong passes lock out, codes are not touched by it, and an unlock or a new pass ends it", async () => {
  const user = await world.addUser();
  const pass = await issue(user);
  for (let failure = 0; failure < 5; failure++) {
    expect(await begin(user, failure % 2 ? "not a pass" : "0000-0000-0000-0000")).toEqual({
      outcome: "code-rejected",
    });
  }
  expect(await begin(user, pass)).toMatchObject({ outcome: "locked-out" });
  const { lockouts } = (await verificationStateOf(deps, { userId: user.id })) ?? { lockouts: [] };
  expect(lockouts).toMatchObject([
    { method: "totp", lockedUntil: null },
    { method: "backup-code", lockedUntil: null },
    { method: "enrollment-pass", lockedUntil: expect.any(Date) },
  ]);
  expect(await unlockUser(deps, { userId: user.id, actor: admin })).toMatchObject({
    methods: ["enrollment-pass"],
  });
  expect(await begin(user, pass)).toMatchObject({ outcome: "begun" });

  for (let failure = 0; failure < 5; failure++) await begin(user, "0000-0000-0000-0000");
  expect(await begin(user, await issue(user))).toMatchObject({ outcome: "begun" });
});

test("an enrollment begun without a pass, before one was required, cannot be confirmed any more", async () => {
  const user = await world.addUser();
  await world.replica({ enrollmentPass: "optional" });
  const begun = await begin(user);
  await world.replica({ enrollmentPass: "required" });
  expect(await confirm(user, begun)).toEqual({ outcome: "enrollment-pass-required" });
  await world.replica({ enrollmentPass: "optional" });
  expect(await confirm(user, begun)).toMatchObject({ outcome: "confirmed" });
});

test("a replica with an older configuration asks for a pass as soon as another has put that in force", async () => {
  const stale = { ...deps, mfa: { ...deps.mfa, enrollmentPass: "optional" as const } };
  const user = await world.addUser();
  expect(await begin(user, undefined, stale)).toEqual({ outcome: "enrollment-pass-required" });
  expect(await statusOf(stale, { name: user })).toMatchObject({ passRequired: true });
});

test("where it is optional, no pass is needed, but one that comes must be right", async () => {
  const user = await world.addUser();
  await world.replica({ enrollmentPass: "optional" });
  expect(await begin(user, "0000-0000-0000-0000")).toEqual({ outcome: "code-rejected" });
  const begun = await begin(user);
  const pass = await issue(user);
  expect(await confirm(user, begun)).toMatchObject({ outcome: "confirmed" });
  // Enrolled meanwhile: what was handed out must not come back to life after a reset.
  await disableMfaByAdmin(deps, { userId: user.id, actor: admin });
  expect(await begin(user, pass)).toEqual({ outcome: "code-rejected" });
});

test("a pass does not replace an authenticator, and none is issued to who has one", async () => {
  const user = await addEnrolledUser();
  expect(await issueEnrollmentPass(deps, { userId: user.id, actor: admin })).toEqual({
    outcome: "already-enrolled",
  });
  expect(await begin(user, "0000-0000-0000-0000")).toEqual({ outcome: "already-enrolled" });
  const replaced = await beginEnrollment(deps, {
    name: user,
    actor: caller,
    totpAsTyped: world.codeOf(user),
  });
  expect(replaced).toMatchObject({ outcome: "begun" });
  expect(await confirm(user, replaced)).toMatchObject({ outcome: "confirmed" });
});

test("after a reset by an admin a pass is needed again, and the reset can issue it", async () => {
  const user = await addEnrolledUser();
  const reset = await disableMfaByAdmin(deps, { userId: user.id, actor: admin, issuePass: true });
  expect(await begin(user)).toEqual({ outcome: "enrollment-pass-required" });
  const pass = reset.outcome === "disabled" ? reset.pass?.passPlain : undefined;
  expect(await begin(user, pass)).toMatchObject({ outcome: "begun" });
});

test.each(["removed", "disabled"])("a user who is %s begins nothing with a pass", async (state) => {
  const user = await world.addUser({ state });
  const issued = await issueEnrollmentPass(deps, { userId: user.id, actor: admin });
  expect(issued.outcome).toBe(state === "removed" ? "user-not-active" : "issued");
  expect(await begin(user, "0000-0000-0000-0000")).toMatchObject({ outcome: "user-not-active" });
});

test("a pass that is issued while an enrollment is confirmed does not outlive it", async () => {
  for (let round = 0; round < 5; round++) {
    const user = await world.addUser();
    const begun = await begin(user, await issue(user));
    const [confirmed] = await Promise.all([
      confirm(user, begun),
      issueEnrollmentPass(deps, { userId: user.id, actor: admin }),
    ]);
    expect(confirmed.outcome).toBe("confirmed");
    expect(await world.database.db("enrollment_passes").where({ user_id: user.id })).toEqual([]);
  }
});
