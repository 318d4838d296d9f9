// Rule 15 over HTTP: many equal requests at once against two servers on one database, each with its own pool. Exactly
// one wins, and no failed attempt goes uncounted.

import { afterAll, beforeAll, expect, test } from "vitest";
import { type OpenDatabase, openDatabase } from "../../src/store/database.ts";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { call, tokens } from "../support/http-server.ts";
import { secretOf, totpOf, wrongTotpOf } from "../verification/verification-world.ts";

let world: ApiWorld;
let secondPool: OpenDatabase;
let urls: [string, string];
beforeAll(async () => {
  world = await openApiWorld();
  secondPool = await openDatabase(world.database.config, { log: world.deps.log, owner: false });
  const second = await world.startServer(await world.replica({}, secondPool.db));
  urls = [world.url, second.url];
});
afterAll(async () => {
  await world.close();
  await secondPool.close();
});

// As many as were seen to break other systems, times ten.
const atOnce = 200;

/** The same request many times at once, half of them to each server; gives how often each status came. */
async function flood(path: string, body: object, count = atOnce): Promise<Record<string, number>> {
  const answers = await Promise.all(
    Array.from({ length: count }, (_, i) => call(`${urls[i % 2]}${path}`, { token: tokens.login, body })),
  );
  return Object.fromEntries(
    Object.entries(Object.groupBy(answers, ({ status }) => String(status))).map(([status, of]) => [
      status,
      of?.length ?? 0,
    ]),
  );
}

test("one right TOTP code lets one request in", async () => {
  const { username, secret } = await world.addEnrolledUser();
  const statuses = await flood("/v1/verify", { username, totp: totpOf(secret, world.clock.now()) });
  expect(statuses["200"]).toBe(1);
  expect((statuses["403"] ?? 0) + (statuses["429"] ?? 0)).toBe(atOnce - 1);
});

test("one backup code lets one request in", async () => {
  const { username, backupCodes } = await world.addEnrolledUser();
  // Fewer, since each costs a key derivation.
  const statuses = await flood("/v1/verify", { username, backupCode: backupCodes[0] }, 40);
  expect(statuses["200"]).toBe(1);
  expect((statuses["403"] ?? 0) + (statuses["429"] ?? 0)).toBe(39);
});

test("one enrollment is confirmed once, and one set of backup codes is shown", async () => {
  const { username } = await world.addUser();
  const { json } = await world.login("/v1/enrollment", { username });
  const { secret } = json as { secret: string };
  const statuses = await flood("/v1/enrollment/confirm", {
    username,
    totp: totpOf(secretOf(secret), world.clock.now()),
  });
  expect(statuses["200"]).toBe(1);
  expect(statuses["500"]).toBeUndefined();
});

test("one code regenerates the backup codes once", async () => {
  const { username, secret } = await world.addEnrolledUser();
  const statuses = await flood("/v1/backup-codes/regenerate", {
    username,
    totp: totpOf(secret, world.clock.now()),
  });
  expect(statuses["200"]).toBe(1);
  expect(statuses["500"]).toBeUndefined();
});

test("wrong codes at once lock after exactly the configured number", async () => {
  const { id, username, secret } = await world.addEnrolledUser();
  const statuses = await flood("/v1/verify", { username, totp: wrongTotpOf(secret, world.clock.now()) });
  const { failures } = world.deps.mfa.lockout;
  const rejected = await world.database
    .db("audit_events")
    .where({ user_id: id, action: "verification" })
    .whereNot({ outcome: "accepted" })
    .pluck("outcome");
  expect(rejected.filter((outcome) => outcome !== "locked-out")).toHaveLength(failures);
  expect((statuses["403"] ?? 0) + (statuses["429"] ?? 0)).toBe(atOnce);
  expect(statuses["403"] ?? 0).toBeLessThanOrEqual(failures);
});
