// Two replicas on one server, 200 requests at once. Only PostgreSQL: the embedded database has one connection.

import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OpenDatabase, openDatabase } from "../../src/store/database.ts";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import { confirmEnrollment } from "../../src/verification/confirm-enrollment.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { disableMfa, disableMfaByAdmin } from "../../src/verification/disable-mfa.ts";
import { regenerateBackupCodes } from "../../src/verification/regenerate-backup-codes.ts";
import { verifyCode } from "../../src/verification/verify-code.ts";
import {
  admin,
  caller,
  openVerificationWorld,
  secretOf,
  totpOf,
  type VerificationWorld,
  wrongTotpOf,
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
    Array.from({ length: 200 }, (_, index) => request(replicas[index % 2] ?? world.deps, index)),
  );
  const counts: Record<string, number> = {};
  for (const { outcome } of answers) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

describe("of 200 equal requests at once", () => {
  test("with one TOTP code exactly one is accepted, and no one is locked out by it", async () => {
    const user = await world.addEnrolledUser();
    const code = { method: "totp", codeAsTyped: totpOf(user.secret, world.clock.now()) } as const;
    expect(await outcomesOf200((deps) => verifyCode(deps, { name: user, code, actor: caller }))).toEqual({
      accepted: 1,
      "code-rejected": 199,
    });
    const events = await world.events(user.id);
    expect(
      events.filter(({ action, details }) => action === "verification" && details.purpose === "sign-in"),
    ).toHaveLength(200);
  });

  test("with one backup code exactly one is accepted", async () => {
    const user = await world.addEnrolledUser();
    const code = { method: "backup-code", codeAsTyped: user.backupCodes[0] ?? "" } as const;
    expect(await outcomesOf200((deps) => verifyCode(deps, { name: user, code, actor: caller }))).toEqual({
      accepted: 1,
      "code-rejected": 199,
    });
  });

  test("that confirm an enrollment exactly one is shown backup codes, and they work", async () => {
    const user = await world.addUser();
    const begun = await beginEnrollment(world.deps, { name: user, actor: caller });
    if (begun.outcome !== "begun") throw new Error(begun.outcome);
    const totpAsTyped = totpOf(secretOf(begun.secretPlain), world.clock.now());
    const shown: string[] = [];
    const counts = await outcomesOf200(async (deps) => {
      const answer = await confirmEnrollment(deps, { name: user, totpAsTyped, actor: caller });
      if (answer.outcome === "confirmed") shown.push(...answer.backupCodes);
      return answer;
    });
    expect(counts.confirmed).toBe(1);
    const code = { method: "backup-code", codeAsTyped: shown[0] ?? "" } as const;
    expect(await verifyCode(world.deps, { name: user, code, actor: caller })).toMatchObject({
      outcome: "accepted",
    });
  });

  test("that regenerate backup codes exactly one wins", async () => {
    const user = await world.addEnrolledUser();
    const totpAsTyped = totpOf(user.secret, world.clock.now());
    expect(
      await outcomesOf200((deps) => regenerateBackupCodes(deps, { name: user, totpAsTyped, actor: caller })),
    ).toEqual({
      regenerated: 1,
      "code-rejected": 199,
    });
  });

  test("that disable exactly one wins", async () => {
    const user = await world.addEnrolledUser();
    const totpAsTyped = totpOf(user.secret, world.clock.now());
    const counts = await outcomesOf200((deps) =>
      disableMfa(deps, { name: user, totpAsTyped, actor: caller }),
    );
    expect(counts.disabled).toBe(1);
  });

  test("that begin and confirm enrollments at once, one user has at most one authenticator and no request fails", async () => {
    const user = await world.addEnrolledUser();
    const totpAsTyped = totpOf(user.secret, world.clock.now());
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
    const code = { method: "totp", codeAsTyped: wrongTotpOf(user.secret, world.clock.now()) } as const;
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

describe("of 200 wrong codes at once", () => {
  test("exactly the configured number are looked at before the lockout", async () => {
    const user = await world.addEnrolledUser();
    const code = { method: "totp", codeAsTyped: wrongTotpOf(user.secret, world.clock.now()) } as const;
    expect(await outcomesOf200((deps) => verifyCode(deps, { name: user, code, actor: caller }))).toEqual({
      "code-rejected": 5,
      "locked-out": 195,
    });
  });

  test("no count is lost while the limit is not reached", async () => {
    const user = await world.addEnrolledUser();
    const patient = { failures: 1_000, firstMs: 60_000, maximumMs: 60_000 };
    const lenient = [
      await world.replica({ lockout: patient }),
      await world.replica({ lockout: patient }, second.db),
    ];
    const code = { method: "totp", codeAsTyped: wrongTotpOf(user.secret, world.clock.now()) } as const;
    await outcomesOf200((_, index) =>
      verifyCode(lenient[index % 2] ?? world.deps, { name: user, code, actor: caller }),
    );
    const row = await world.database
      .db("lockouts")
      .where({ user_id: user.id, method: "totp" })
      .first("failures");
    expect(row.failures).toBe(200);
  });

  test("a right one among them is not accepted after the lockout", async () => {
    // Five rounds: where the right code lands in the queue is up to the scheduler.
    for (let round = 0; round < 5; round++) {
      const user = await world.addEnrolledUser();
      const wrong = wrongTotpOf(user.secret, world.clock.now());
      const right = totpOf(user.secret, world.clock.now());
      await outcomesOf200((deps, index) => {
        const codeAsTyped = index === 150 ? right : wrong;
        return verifyCode(deps, { name: user, code: { method: "totp", codeAsTyped }, actor: caller });
      });
      const outcomes = (await world.events(user.id))
        .filter(({ details }) => details.purpose === "sign-in")
        .map(({ outcome }) => outcome);
      const lockedFrom = outcomes.indexOf("locked-out");
      expect(
        outcomes.slice(0, lockedFrom).filter((outcome) => outcome === "wrong-code").length,
      ).toBeLessThanOrEqual(9);
      expect(outcomes.slice(lockedFrom)).not.toContain("wrong-code");
      expect(outcomes.slice(lockedFrom)).not.toContain("accepted");
    }
  });
});
