// Every test has its own lease names; all share one database.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  acquireLease,
  type Lease,
  releaseLease,
  renewLease,
  requireLease,
} from "../../src/store/leases-table.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

const minute = 60_000;

async function acquired(name: string, ttlMs = minute, holder = "a"): Promise<Lease> {
  const attempt = await acquireLease(database.db, { name, holder, ttlMs });
  if (!attempt.won) throw new Error("lease not won");
  return attempt.lease;
}

test("of fifty that want a new lease at once exactly one wins, and the others learn who", async () => {
  const attempts = await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      acquireLease(database.db, { name: "new", holder: `holder-${i}`, ttlMs: minute }),
    ),
  );
  const winners = attempts.flatMap((attempt) => (attempt.won ? [attempt.lease.holder] : []));
  const told = new Set(attempts.flatMap((attempt) => (attempt.won ? [] : [attempt.holder])));
  expect(winners).toHaveLength(1);
  expect([...told]).toEqual(winners);
});

test("of fifty that find an expired lease at once exactly one takes it over", async () => {
  const old = await acquired("expired", 1);
  await sleep(10);
  const attempts = await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      acquireLease(database.db, { name: "expired", holder: `holder-${i}`, ttlMs: minute }),
    ),
  );
  const tokens = attempts.flatMap((attempt) => (attempt.won ? [attempt.lease.token] : []));
  expect(tokens).toEqual([String(Number(old.token) + 1)]);
});

test("a held lease is refused, even to its own holder's second request", async () => {
  await acquired("held");
  const again = await acquireLease(database.db, { name: "held", holder: "a", ttlMs: minute });
  expect(again).toMatchObject({ won: false, holder: "a" });
});

test("the token rises with every new holder, also after a release", async () => {
  const first = await acquired("rising");
  await releaseLease(database.db, first);
  const second = await acquired("rising", 1);
  await sleep(10);
  const third = await acquired("rising");
  expect([first.token, second.token, third.token]).toEqual(["1", "2", "3"]);
});

test("a renewed lease outlives its first term", async () => {
  const lease = await acquired("renewed", 300);
  expect(await renewLease(database.db, lease, minute)).toBe(true);
  await sleep(310);
  expect(await acquireLease(database.db, { name: "renewed", holder: "b", ttlMs: minute })).toMatchObject({
    won: false,
  });
});

test("an expired lease cannot be renewed, even if nobody took it over", async () => {
  const lease = await acquired("late", 1);
  await sleep(10);
  expect(await renewLease(database.db, lease, minute)).toBe(false);
});

test("a former holder can neither renew, require nor release the next one's lease", async () => {
  const former = await acquired("former", 1);
  await sleep(10);
  const next = await acquired("former", minute, "b");
  expect(await renewLease(database.db, former, minute)).toBe(false);
  await expect(database.db.transaction((trx) => requireLease(trx, former))).rejects.toMatchObject({
    code: "lease-lost",
  });
  await releaseLease(database.db, former);
  expect(await renewLease(database.db, next, minute)).toBe(true);
});

test("an expired lease is lost to a transaction that requires it", async () => {
  const lease = await acquired("required-late", 1);
  await sleep(10);
  await expect(database.db.transaction((trx) => requireLease(trx, lease))).rejects.toMatchObject({
    code: "lease-lost",
  });
});

test("a hostile name is a name like any other", async () => {
  const name = "x'); drop table leases; -- :name ? \\? ünï";
  const lease = await acquired(name);
  expect(await renewLease(database.db, lease, minute)).toBe(true);
});
