// Two replicas on one server, 200 requests at once that are not all for the same; those that are, over HTTP and in two
// processes, are in test/http/races. Only PostgreSQL: the embedded database has one connection.

import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorCodeOf } from "../../src/errors.ts";
import { type OpenDatabase, openDatabase } from "../../src/store/database.ts";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import { confirmEnrollment } from "../../src/verification/confirm-enrollment.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { disableMfa, disableMfaByAdmin } from "../../src/verification/disable-mfa.ts";
import { verifyCode } from "../../src/verification/verify-code.ts";
import {
  admin,
  caller,
  openVerificationWorld,
  secretOf,
  totpOf,
  type VerificationWorld,
} from "./verification-world.ts";

let world: VerificationWorld;
let second: OpenDatabase;
let replicas: VerificationDeps[];
beforeAll(async () => {
  world = await openVerificationWorld();
  second = await openDatabase(world.database.config, { log: pino({ level: "silent" }), owner: false });
  replicas = [world.deps, await world.replica({}, second.db)];
});
afterAll(async () => {
  await second.close();
  await world.close();
});

/** How often each outcome came of 200 requests at once, spread over both replicas. */
async function outcomesOf200(
  request: (deps: VerificationDeps, index: number) => Promise<{ outcome: string }>,
) {
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, index) =>
      request(replicas[index % 2] ?? world.deps, index).catch(outcomeOfBusy),
    ),
  );
  const counts: Record<string, number> = {};
  for (const { outcome } of answers) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

// A confirmation that would have to wait too long for its turn; nothing was spent.
function outcomeOfBusy(error: unknown): { outcome: string } {
  if (errorCodeOf(error) === "rate-limited") return { outcome: "rate-limited" };
  throw error;
}

describe("of 200 equal requests at once", () => {
  test("that disable exactly one wins", async () => {
    const user = await world.addEnrolledUser();
    const totpAsTyped = world.codeOf(user);
    const counts = await outcomesOf200((deps) =>
      disableMfa(deps, { name: user, totpAsTyped, actor: caller }),
    );
    expect(counts.disabled).toBe(1);
  });

  test("that begin and confirm enrollments at once, one user has at most one authenticator and no request fails", async () => {
    const user = await world.addEnrolledUser();
    const totpAsTyped = world.codeOf(user);
    const counts = await outcomesOf200((deps, index) =>
      index % 3 === 0
        ? confirmEnrollment(deps, { name: user, totpAsTyped, actor: caller })
        : beginEnrollment(deps, { name: user, totpAsTyped, actor: caller }),
    );
    expect(counts.begun).toBe(1);
    expect(
      await world.database.db("authenticators").where({ user_id: user.id, state: "active" }),
    ).toHaveLength(1);
  });
});

test("an admin who disables while wrong codes come in ends it, and no request fails", async () => {
  // Five rounds: what meets what is up to the scheduler.
  for (let round = 0; round < 5; round++) {
    const user = await world.addEnrolledUser();
    const code = { method: "totp", codeAsTyped: world.wrongCodeOf(user) } as const;
    const counts = await outcomesOf200((deps, index) =>
      index % 50 === 49
        ? disableMfaByAdmin(deps, { userId: user.id, actor: admin })
        : verifyCode(deps, { name: user, code, actor: caller }),
    );
    expect(counts.disabled).toBe(1);
  }
});

test("two confirmations with different codes at once make one authenticator", async () => {
  const user = await world.addUser();
  const begun = await beginEnrollment(world.deps, { name: user, actor: caller });
  if (begun.outcome !== "begun") throw new Error(begun.outcome);
  const codes = [-1, 0, 1].map((step) =>
    totpOf(secretOf(begun.secretPlain), new Date(world.clock.now().getTime() + step * 30_000)),
  );
  const counts = await outcomesOf200((deps, index) =>
    confirmEnrollment(deps, { name: user, totpAsTyped: codes[index % 3] ?? "", actor: caller }),
  );
  expect(counts.confirmed).toBe(1);
});

test("a right code among 200 wrong ones at once is not accepted after the lockout", async () => {
  // Five rounds: where the right code lands in the queue is up to the scheduler.
  for (let round = 0; round < 5; round++) {
    const user = await world.addEnrolledUser();
    const wrong = world.wrongCodeOf(user);
    const right = world.codeOf(user);
    const counts = await outcomesOf200((deps, index) => {
      const codeAsTyped = index === 150 ? right : wrong;
      return verifyCode(deps, { name: user, code: { method: "totp", codeAsTyped }, actor: caller });
    });
    const events = (await world.events(user.id)).filter(({ details }) => details.purpose === "sign-in");
    const locking = events.findIndex(({ details }) => details.lockedUntil !== undefined);
    expect(events.slice(0, locking).length).toBeLessThanOrEqual(9);
    // Nothing is looked at after it, so there is no event; but none goes uncounted.
    expect(events.slice(locking + 1)).toEqual([]);
    const lockout = await world.database.db("lockouts").where({ user_id: user.id, method: "totp" }).first();
    expect(lockout.refused).toBe(counts["locked-out"]);
  }
});
