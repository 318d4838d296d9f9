// F7 and F8: a code is verified and spent once (rules 15, 16, 17 and 18).

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { disableMfa, disableMfaByAdmin } from "../../src/verification/disable-mfa.ts";
import { regenerateBackupCodes } from "../../src/verification/regenerate-backup-codes.ts";
import {
  admin,
  caller,
  type EnrolledUser,
  openVerificationWorld,
  stepMs,
  totpOf,
  type VerificationWorld,
} from "./verification-world.ts";

let world: VerificationWorld;
beforeAll(async () => {
  world = await openVerificationWorld();
});
afterAll(() => world.close());

const input = (user: EnrolledUser, totpAsTyped = world.codeOf(user)) => ({
  name: { username: user.username },
  totpAsTyped,
  actor: caller,
});

describe("a TOTP code", () => {
  test("is accepted once and then refused", async () => {
    const user = await world.addEnrolledUser();
    const code = world.codeOf(user);
    expect(await world.verify(user, code)).toMatchObject({
      outcome: "accepted",
      method: "totp",
      user: { id: user.id, username: user.username },
      backupCodesRemaining: 4,
    });
    expect(await world.verify(user, code)).toEqual({ outcome: "code-rejected" });
    expect((await world.events(user.id)).slice(-2).map(({ outcome, details }) => [outcome, details])).toEqual(
      [
        ["accepted", { method: "totp", purpose: "sign-in" }],
        ["already-spent", { method: "totp", purpose: "sign-in" }],
      ],
    );
  });

  test("of the step before is refused once a later one was accepted", async () => {
    const user = await world.addEnrolledUser();
    const before = world.codeOf(user);
    world.clock.step();
    expect(await world.verify(user, world.codeOf(user))).toMatchObject({ outcome: "accepted" });
    expect(await world.verify(user, before)).toEqual({ outcome: "code-rejected" });
  });

  test("accepted early is not accepted again when its time comes, even on a clock that jumps back", async () => {
    const user = await world.addEnrolledUser();
    world.clock.step();
    const next = world.codeOf(user);
    world.clock.step(-1);
    expect(await world.verify(user, next)).toMatchObject({ outcome: "accepted" });
    world.clock.step();
    expect(await world.verify(user, next)).toEqual({ outcome: "code-rejected" });
    world.clock.step(-20);
    expect(await world.verify(user, world.codeOf(user))).toEqual({ outcome: "code-rejected" });
    world.clock.step(21);
    expect(await world.verify(user, world.codeOf(user))).toMatchObject({ outcome: "accepted" });
  });

  test.each([0, 1, 2] as const)(
    "%i steps early or late, as the window is set, is accepted, and one step further is not",
    async (windowSteps) => {
      const deps = await world.replica({ totp: { ...world.deps.mfa.totp, windowSteps } });
      for (const direction of [-1, 1]) {
        const user = await world.addEnrolledUser();
        // The enrollment moved the clock and spent a step that must be older than the window.
        world.clock.step(5);
        const codeOf = (steps: number) =>
          totpOf(user.secret, new Date(world.clock.now().getTime() + direction * steps * stepMs));
        const verified = (code: string) => world.verify(user, code, "totp", deps);
        expect(await verified(codeOf(windowSteps + 1))).toMatchObject({ outcome: "code-rejected" });
        expect(await verified(codeOf(windowSteps))).toMatchObject({ outcome: "accepted" });
      }
    },
  );

  test("may be typed with spaces and dashes, and is then the same code", async () => {
    const user = await world.addEnrolledUser();
    const code = world.codeOf(user);
    expect(await world.verify(user, ` ${code.slice(0, 3)} \u2013 ${code.slice(3)}`)).toMatchObject({
      outcome: "accepted",
    });
    expect(await world.verify(user, code)).toEqual({ outcome: "code-rejected" });
  });

  test.each([
    ["is empty", ""],
    ["has five digits", "12345"],
    ["has seven digits", "1234567"],
    ["has full-width digits", "１２３４５６"],
    ["is SQL", "' or 1=1 --"],
    ["is a null byte", "\u0000"],
    ["is very long", "💥".repeat(1000)],
  ])("that %s is refused as any wrong one", async (_, typed) => {
    const user = await world.addEnrolledUser();
    expect(await world.verify(user, typed)).toEqual({ outcome: "code-rejected" });
    expect((await world.events(user.id)).at(-1)).toMatchObject({ outcome: "malformed" });
  });

  test("of another user is refused", async () => {
    const [one, two] = [await world.addEnrolledUser(), await world.addEnrolledUser()];
    expect(await world.verify(two, world.codeOf(one))).toEqual({ outcome: "code-rejected" });
  });

  test("given as a backup code, and a backup code given as one, is refused", async () => {
    const user = await world.addEnrolledUser();
    expect(await world.verify(user, world.codeOf(user), "backup-code")).toEqual({
      outcome: "code-rejected",
    });
    expect(await world.verify(user, user.backupCodes[0] ?? "")).toEqual({ outcome: "code-rejected" });
  });
});

describe("backup codes", () => {
  test("work once each, in any order, in either case, and count down", async () => {
    const user = await world.addEnrolledUser();
    const [first = "", , third = ""] = user.backupCodes;
    expect(await world.verify(user, third.toLowerCase().replaceAll("-", " "), "backup-code")).toMatchObject({
      outcome: "accepted",
      method: "backup-code",
      backupCodesRemaining: 3,
    });
    expect(await world.verify(user, third, "backup-code")).toEqual({ outcome: "code-rejected" });
    expect(await world.verify(user, first, "backup-code")).toMatchObject({ backupCodesRemaining: 2 });
  });

  test("can all be used up", async () => {
    const user = await world.addEnrolledUser();
    for (const code of user.backupCodes) {
      expect(await world.verify(user, code, "backup-code")).toMatchObject({ outcome: "accepted" });
    }
    expect(await world.verify(user, user.backupCodes[0] ?? "", "backup-code")).toEqual({
      outcome: "code-rejected",
    });
  });

  test("are regenerated with a TOTP code: the old ones stop working and the new ones work", async () => {
    const user = await world.addEnrolledUser();
    const answer = await regenerateBackupCodes(world.deps, input(user));
    if (answer.outcome !== "regenerated") throw new Error(answer.outcome);
    expect(answer.backupCodes).toHaveLength(4);
    expect(await world.verify(user, user.backupCodes[0] ?? "", "backup-code")).toEqual({
      outcome: "code-rejected",
    });
    expect(await world.verify(user, answer.backupCodes[0] ?? "", "backup-code")).toMatchObject({
      outcome: "accepted",
    });
    expect((await world.events(user.id)).map(({ action }) => action)).toContain("backup-codes-regenerate");
  });

  test("are not regenerated with a wrong, a spent or a backup code, and the old ones stay", async () => {
    const user = await world.addEnrolledUser();
    const spent = world.codeOf(user);
    await world.verify(user, spent);
    for (const code of [spent, world.wrongCodeOf(user), user.backupCodes[1] ?? ""]) {
      expect(await regenerateBackupCodes(world.deps, input(user, code))).toEqual({
        outcome: "code-rejected",
      });
    }
    expect(await world.verify(user, user.backupCodes[0] ?? "", "backup-code")).toMatchObject({
      outcome: "accepted",
    });
  });
});

describe("disabling", () => {
  test("takes a TOTP code and ends authenticator, backup codes and any begun enrollment", async () => {
    const user = await world.addEnrolledUser();
    await beginEnrollment(world.deps, input(user));
    world.clock.step();
    expect(await disableMfa(world.deps, input(user))).toMatchObject({ outcome: "disabled" });
    expect(await world.database.db("authenticators").where({ user_id: user.id })).toEqual([]);
    expect(await world.verify(user, user.backupCodes[0] ?? "", "backup-code")).toEqual({
      outcome: "not-enrolled",
    });
    expect((await world.events(user.id)).at(-1)).toMatchObject({ action: "mfa-disable", outcome: "done" });
  });

  test("is refused for a backup code and for a wrong code", async () => {
    const user = await world.addEnrolledUser();
    for (const code of [user.backupCodes[0] ?? "", world.wrongCodeOf(user)]) {
      expect(await disableMfa(world.deps, input(user, code))).toEqual({ outcome: "code-rejected" });
    }
  });

  test("is refused where MFA is required, without spending the code", async () => {
    const user = await world.addEnrolledUser();
    const strict = await world.replica({ mode: "required" });
    onTestFinished(async () => void (await world.replica())); // the policy is that of the last one
    expect(await disableMfa(strict, input(user))).toEqual({
      outcome: "mfa-required",
      requiredBy: ["required-by-organization"],
    });
    expect(await world.verify(user, world.codeOf(user))).toMatchObject({ outcome: "accepted" });
  });

  test("by an admin needs no code, works for a required user, and ends a lockout", async () => {
    const user = await world.addEnrolledUser();
    for (let failure = 0; failure < 5; failure++) await world.verify(user, world.wrongCodeOf(user));
    expect(await disableMfaByAdmin(world.deps, { userId: user.id, actor: admin })).toEqual({
      outcome: "disabled",
    });
    expect(await world.verify(user, "123456")).toEqual({ outcome: "not-enrolled" });
    expect(
      await beginEnrollment(world.deps, { name: { username: user.username }, actor: caller }),
    ).toMatchObject({
      outcome: "begun",
    });
    expect((await world.events(user.id)).at(-2)).toMatchObject({
      action: "mfa-disable",
      details: { byAdmin: true, lockoutsEnded: ["totp"] },
    });
  });

  test("by an admin says when there was nothing to disable or no such user", async () => {
    const user = await world.addUser();
    expect(await disableMfaByAdmin(world.deps, { userId: user.id, actor: admin })).toEqual({
      outcome: "not-enrolled",
    });
    const unknown = "00000000-0000-4000-8000-000000000000";
    expect(await disableMfaByAdmin(world.deps, { userId: unknown, actor: admin })).toEqual({
      outcome: "user-unknown",
    });
  });
});

describe("a stored secret", () => {
  const authenticatorOf = (user: EnrolledUser) =>
    world.database.db("authenticators").where({ user_id: user.id });
  const backupCodesOf = (user: EnrolledUser) =>
    world.database.db("backup_code_sets").where({ authenticator_id: authenticatorOf(user).select("id") });

  /** The answer to a code, and what the auditor is told of it. */
  async function refused(user: EnrolledUser, code: string, method: "totp" | "backup-code" = "totp") {
    expect(await world.verify(user, code, method)).toMatchObject({ outcome: "secret-unreadable" });
    expect(world.logged.at(-1)).toContain("stored secret cannot be opened");
    const event = (await world.events(user.id)).at(-1);
    expect(event).toMatchObject({ action: "seal-broken", outcome: "refused", details: { method } });
    return event?.details;
  }

  test("that was copied from another user is refused, logged and audited", async () => {
    const [victim, attacker] = [await world.addEnrolledUser(), await world.addEnrolledUser()];
    const { sealed } = await authenticatorOf(attacker).first();
    await authenticatorOf(victim).update({ sealed });
    const code = world.codeOf(attacker);
    expect(await refused(victim, code)).toMatchObject({ reason: "changed" });
  });

  test("that was changed in one bit is refused, logged and audited", async () => {
    const user = await world.addEnrolledUser();
    const { sealed } = await authenticatorOf(user).first();
    sealed.writeUInt8(sealed.readUInt8(20) ^ 1, 20);
    await authenticatorOf(user).update({ sealed });
    expect(await refused(user, world.codeOf(user))).toMatchObject({ reason: "changed" });
  });

  test("whose key is missing is refused, and the event says which key", async () => {
    const user = await world.addEnrolledUser();
    await world.database
      .db("sealing_keys")
      .insert({ id: "gone", check_value: Buffer.alloc(32), state: "retired", retired_at: new Date() });
    await authenticatorOf(user).update({ key_id: "gone" });
    expect(await refused(user, world.codeOf(user))).toMatchObject({
      reason: "key-missing",
      keyId: "gone",
    });
    await authenticatorOf(user).update({ key_id: "first" });
  });

  test("of backup codes, copied from another user, is refused for the codes of either", async () => {
    const [victim, attacker] = [await world.addEnrolledUser(), await world.addEnrolledUser()];
    const { kdf, salt, sealed } = await backupCodesOf(attacker).first();
    await backupCodesOf(victim).update({ kdf, salt, sealed });
    for (const [code = ""] of [attacker.backupCodes, victim.backupCodes]) {
      expect(await refused(victim, code, "backup-code")).toMatchObject({ reason: "changed" });
    }
  });
});

test("nothing that was logged holds a secret or a code", async () => {
  const user = await world.addEnrolledUser();
  const code = world.codeOf(user);
  await world.verify(user, code);
  await world.verify(user, user.backupCodes[0] ?? "", "backup-code");
  const everything = world.logged.join("\n");
  for (const secret of [code, ...user.backupCodes]) expect(everything).not.toContain(secret);
  const events = JSON.stringify(await world.database.db("audit_events"));
  for (const secret of [code, ...user.backupCodes]) expect(events).not.toContain(secret);
});

describe("while a backup code stands in line for its hash", () => {
  /** All turns at hashing are taken until `free` is called. */
  async function takeTurns(hasher: VerificationDeps["hasher"]) {
    const { promise: gate, resolve: free } = Promise.withResolvers<boolean>();
    const salt = Buffer.alloc(16);
    const typed = (canonicalCode: string) => ({ canonicalCode, salt, kdf: "scrypt:1024:8:1" });
    const first = ["A", "B"].map((code) => hasher.hash(typed(code), async () => true));
    const holders = ["C", "D"].map((code) => hasher.hash(typed(code), () => gate));
    await Promise.all(first);
    return async () => {
      free(true);
      await Promise.all(holders);
    };
  }
  /** Once the user was read, and before the code is hashed. */
  const settled = () => new Promise((resolve) => setTimeout(resolve, 150));

  test.each(["disabled", "removed"] as const)(
    "a user who becomes %s is not let in, and the code is not spent",
    async (state) => {
      const user = await world.addEnrolledUser();
      for (const code of [user.backupCodes[0] ?? "", "0000-0000-0000"]) {
        const free = await takeTurns(world.deps.hasher);
        const answer = world.verify(user, code, "backup-code");
        await settled();
        await world.database
          .db("users")
          .where({ id: user.id })
          .update({ state, removed_at: state === "removed" ? new Date() : null });
        await free();
        expect(await answer).toEqual({ outcome: "user-not-active", state });
        expect((await world.events(user.id)).at(-1)).toMatchObject({ outcome: "user-not-active" });
        await world.database.db("users").where({ id: user.id }).update({ state: "active", removed_at: null });
      }
      const counted = { user_id: user.id, method: "backup-code" };
      expect(await world.database.db("lockouts").where(counted).first()).toMatchObject({ failures: 0 });
      expect(await world.verify(user, user.backupCodes[0] ?? "", "backup-code")).toMatchObject({
        outcome: "accepted",
      });
    },
  );

  test("a lockout that comes and goes leaves a right code right, and one that stays refuses it uncounted", async () => {
    const user = await world.addEnrolledUser();
    const { db } = world.database;
    const lockUntil = (at: string) =>
      db("lockouts")
        .where({ user_id: user.id, method: "backup-code" })
        .update({ locked_until: db.raw(at) });
    const { hasher } = world.deps;
    // Ends the lockout right after it was looked at.
    let looked = 0;
    const deps: VerificationDeps = {
      ...world.deps,
      hasher: {
        ...hasher,
        hash: (typed, isOpen) =>
          hasher.hash(typed, async () => {
            const open = await isOpen();
            looked++;
            await lockUntil("clock_timestamp() - interval '1 second'");
            return open;
          }),
      },
    };
    const verify = async (code: string, using: VerificationDeps) => {
      const free = await takeTurns(hasher);
      const answer = world.verify(user, code, "backup-code", using);
      await settled();
      await lockUntil("clock_timestamp() + interval '1 minute'");
      await free();
      return answer;
    };
    expect(await verify(user.backupCodes[0] ?? "", deps)).toMatchObject({ outcome: "accepted" });
    expect(looked).toBe(1);
    expect(await verify(user.backupCodes[1] ?? "", world.deps)).toMatchObject({ outcome: "locked-out" });
    const counted = { user_id: user.id, method: "backup-code" };
    expect(await db("lockouts").where(counted).first()).toMatchObject({ failures: 0, refused: 1 });
  });
});
