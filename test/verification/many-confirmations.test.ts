// What happens to confirmations that come at once, and to those whose caller has gone: nobody's authenticator is activated
// with backup codes that nobody saw (rules 15 and 21).

import { describe, expect, test } from "vitest";
import { errorCodeOf } from "../../src/errors.ts";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import { confirmEnrollment } from "../../src/verification/confirm-enrollment.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { disableMfa } from "../../src/verification/disable-mfa.ts";
import { regenerateBackupCodes } from "../../src/verification/regenerate-backup-codes.ts";
import { createTurns } from "../../src/verification/turns.ts";
import { verifyCode } from "../../src/verification/verify-code.ts";
import {
  caller,
  eachTestInVerificationWorld,
  secretOf,
  type VerificationWorld,
} from "./verification-world.ts";

let world: VerificationWorld;
eachTestInVerificationWorld((it) => {
  world = it;
});

/** The world's hasher, whose hashes wait until they are let go, with one turn and a short line. */
function slowHashing(waitMs: number) {
  const mayGo = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const { hasher } = world.deps;
  const deps: VerificationDeps = {
    ...world.deps,
    hasher: {
      ...hasher,
      setTurns: createTurns({ running: 1, waitMs, usualMs: 1 }),
      hashNew: async (code) => {
        started.resolve();
        await mayGo.promise;
        return hasher.hashNew(code);
      },
    },
  };
  return { deps, letGo: mayGo.resolve, started: started.promise };
}

async function beginFor(username: string) {
  const begun = await beginEnrollment(world.deps, { name: { username }, actor: caller });
  if (begun.outcome !== "begun") throw new Error(begun.outcome);
  const totpAsTyped = world.codeOf({ secret: secretOf(begun.secretPlain) });
  return { name: { username }, totpAsTyped, actor: caller };
}

test("of 30 confirmations at once those in time are answered, and the others refused with their code unspent", async () => {
  const { deps, letGo } = slowHashing(100);
  const users = await Promise.all(Array.from({ length: 30 }, () => world.addUser()));
  const inputs = await Promise.all(users.map(({ username }) => beginFor(username)));
  const answers = inputs.map((input) => confirmEnrollment(deps, input).catch(errorCodeOf));
  // All but the one whose turn it is have been told before that one is done.
  const first = await Promise.race(answers);
  expect(first).toBe("rate-limited");
  await expect.poll(async () => (await settledAmong(answers)).length).toBe(29);
  letGo();
  const outcomes = (await Promise.all(answers)).map((answer) =>
    typeof answer === "object" ? answer.outcome : answer,
  );
  expect(outcomes.filter((outcome) => outcome === "confirmed")).toHaveLength(1);
  const late = inputs[outcomes.indexOf("rate-limited")];
  if (!late) throw new Error("nobody was refused");
  expect(await confirmEnrollment(world.deps, late)).toMatchObject({ outcome: "confirmed" });
});

async function settledAmong<T>(promises: Promise<T>[]): Promise<T[]> {
  const none = Symbol("none");
  const now = await Promise.all(promises.map((promise) => Promise.race([promise, none])));
  return now.filter((answer) => answer !== none) as T[]; // what is left is T
}

test("a confirmation whose caller goes while the codes are made activates nothing, and its code is good for another", async () => {
  const { deps, letGo, started } = slowHashing(1_000);
  const user = await world.addUser();
  const input = await beginFor(user.username);
  const gone = new AbortController();
  const answer = confirmEnrollment(deps, { ...input, signal: gone.signal }).catch(errorCodeOf);
  await started;
  gone.abort();
  letGo();
  expect(await answer).toBe("aborted");
  expect((await world.events(user.id)).map(({ action }) => action)).toEqual(["enrollment-begin"]);
  expect(await confirmEnrollment(world.deps, input)).toMatchObject({ outcome: "confirmed" });
});

describe("what a user asks for, whose caller goes while it waits for the user's lock, is not done:", () => {
  type Asked = { name: { username: string }; totpAsTyped: string; actor: typeof caller; signal: AbortSignal };
  const flows: [act: string, done: string, flow: (asked: Asked) => Promise<unknown>][] = [
    ["confirming", "confirmed", (asked) => confirmEnrollment(world.deps, asked)],
    ["beginning", "begun", ({ name, actor, signal }) => beginEnrollment(world.deps, { name, actor, signal })],
    ["replacing", "begun", (asked) => beginEnrollment(world.deps, asked)],
    ["disabling", "disabled", (asked) => disableMfa(world.deps, asked)],
    ["regenerating", "regenerated", (asked) => regenerateBackupCodes(world.deps, asked)],
  ];

  test.each(flows)("%s", async (act, done, flow) => {
    const isEnrolled = act !== "confirming" && act !== "beginning";
    const enrolled = isEnrolled ? await world.addEnrolledUser() : undefined;
    const { id, username } = enrolled ?? (await world.addUser());
    const asked =
      enrolled === undefined
        ? await beginFor(username)
        : { name: { username }, totpAsTyped: world.codeOf(enrolled), actor: caller };
    const gone = new AbortController();
    const before = await world.events(id);
    const holder = await world.database.db.transaction();
    await holder("users").where({ id }).forUpdate().select("id");
    const answer = flow({ ...asked, signal: gone.signal }).catch(errorCodeOf);
    await expect.poll(countWaitingForLock).toBe(1);
    gone.abort();
    await holder.commit();
    expect(await answer).toBe("aborted");
    expect(await world.events(id)).toEqual(before);
    // And its code is good for another.
    const again = await flow({ ...asked, signal: new AbortController().signal });
    expect(again).toMatchObject({ outcome: done });
    expect((await world.events(id)).length).toBeGreaterThan(before.length);
  });
});

async function countWaitingForLock(): Promise<number> {
  const { rows } = await world.database.db.raw(
    "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  );
  return rows.length;
}

test("a caller that has gone has no right code spent, while its wrong ones count", async () => {
  const user = await world.addEnrolledUser();
  const name = { username: user.username };
  const totpAsTyped = world.codeOf(user);
  const signal = AbortSignal.abort();
  const verify = (codeAsTyped: string) =>
    verifyCode(world.deps, { name, actor: caller, signal, code: { method: "totp", codeAsTyped } });
  await expect(verify(totpAsTyped)).rejects.toMatchObject({ code: "aborted" });
  const asked = { name, actor: caller, signal, totpAsTyped };
  await expect(regenerateBackupCodes(world.deps, asked)).rejects.toMatchObject({ code: "aborted" });
  await expect(beginEnrollment(world.deps, asked)).rejects.toMatchObject({ code: "aborted" });
  expect(await verify(world.wrongCodeOf(user))).toEqual({ outcome: "code-rejected" });
  const outcomes = (await world.events(user.id)).slice(-1).map(({ outcome }) => outcome);
  expect(outcomes).toEqual(["wrong-code"]);
  expect(await world.verify(user, totpAsTyped)).toMatchObject({ outcome: "accepted" });
});
