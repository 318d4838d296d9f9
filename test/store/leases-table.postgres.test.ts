// What needs two transactions at the same time, which the embedded database never has.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { acquireLease, requireLease } from "../../src/store/leases-table.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

test("a lease that expires during its holder's transaction is not taken over before the end, and nobody waits", async () => {
  const wanted = { name: "apply", holder: "b", ttlMs: 60_000 };
  const attempt = await acquireLease(database.db, { ...wanted, holder: "a", ttlMs: 1_000 });
  if (!attempt.won) throw new Error("lease not won");
  await database.db.transaction(async (trx) => {
    await requireLease(trx, attempt.lease);
    await sleep(1_010);
    expect(await acquireLease(database.db, wanted)).toMatchObject({ won: false, holder: "a" });
  });
  expect(await acquireLease(database.db, wanted)).toMatchObject({ won: true });
});

test("a lease acquired in a transaction that is rolled back was never held", async () => {
  const wanted = { name: "rolled-back", holder: "a", ttlMs: 60_000 };
  const trx = await database.db.transaction();
  await acquireLease(trx, wanted);
  await trx.rollback();
  expect(await acquireLease(database.db, { ...wanted, holder: "b" })).toMatchObject({ won: true });
});
