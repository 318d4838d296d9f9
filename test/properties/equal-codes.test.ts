// Rule 15 many times over: 200 equal codes at once over three replicas with separate connections, which batch and remember, among codes of
// others. Each user has one; for 1,000 users, or fewer where RANDOM_ROUNDS says so.

import { afterAll, beforeAll, expect, test } from "vitest";
import { type OpenDatabase, openDatabase } from "../../src/store/database.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { verifyCode } from "../../src/verification/verify-code.ts";
import { createSubjects } from "../verification/interleaved-flows.ts";
import { caller, openVerificationWorld, type VerificationWorld } from "../verification/verification-world.ts";

const rounds = Math.min(1000, Number(process.env.RANDOM_ROUNDS ?? 1000));
const atOnce = 200;
// A round is 200 verifications; a busy machine does some hundred a second.
const timeout = 3_600_000;

let world: VerificationWorld;
const others: OpenDatabase[] = [];
let replicas: VerificationDeps[];
beforeAll(async () => {
  world = await openVerificationWorld();
  for (let count = 0; count < 2; count++) {
    others.push(await openDatabase(world.database.config, { log: world.deps.log, owner: false }));
  }
  replicas = [world.deps, ...(await Promise.all(others.map(({ db }) => world.replica({}, db))))];
});
afterAll(async () => {
  for (const other of others) await other.close();
  await world.close();
});

function verify(deps: VerificationDeps, username: string, codeAsTyped: string) {
  return verifyCode(deps, { name: { username }, code: { method: "totp", codeAsTyped }, actor: caller });
}

test("of 200 equal codes over three replicas one is accepted, again and again", { timeout }, async () => {
  const bystanders = await createSubjects(world, "enrolled", 10);
  for (const [round, user] of (await createSubjects(world, "enrolled", rounds)).entries()) {
    // None of the replicas, one, two or all of them know the user from a decision.
    for (const deps of replicas.slice(0, round % 4)) {
      await deps.together.findSignInStanding({ username: user.username });
    }
    const code = world.codeOf(user.active);
    const bystander = bystanders[round % bystanders.length];
    const answers = Array.from({ length: atOnce }, (_, index) => {
      const deps = replicas[index % replicas.length] ?? world.deps;
      if (bystander && index % 40 === 0) void verify(deps, bystander.username, "000000").catch(() => {});
      return verify(deps, user.username, code);
    });
    const outcomes = (await Promise.all(answers)).map(({ outcome }) => outcome);
    const accepted = outcomes.filter((outcome) => outcome === "accepted");
    expect([round, accepted.length]).toEqual([round, 1]);
    expect([round, outcomes.length - accepted.length]).toEqual([
      round,
      outcomes.filter((outcome) => outcome === "code-rejected").length,
    ]);
    const audited = (await world.events(user.id)).filter(({ outcome }) => outcome === "accepted");
    expect([round, audited.length]).toEqual([round, 1]);
  }
});
