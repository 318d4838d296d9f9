// Pages of audit events while transactions commit in another order than they wrote. Only PostgreSQL: side by side.

import { afterEach, beforeEach, expect, test } from "vitest";
import { recordAuditEvent } from "../../src/audit/audit-events-table.ts";
import { sealAuditEvents } from "../../src/audit/seal-audit-events.ts";
import { systemClock } from "../../src/clock.ts";
import { AuditEventPage } from "../../src/http/routes/admin-audit-schemas.ts";
import type { Transaction } from "../../src/store/database.ts";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { readAs } from "../support/http-server.ts";

let world: ApiWorld;
beforeEach(async () => {
  world = await openApiWorld();
});
afterEach(() => world.close());

const record = (trx: Transaction, outcome: string) =>
  recordAuditEvent(trx, { actor: { name: "alice", via: "cli" }, action: "unlock", outcome });
const recordNow = (outcome: string) => world.database.db.transaction((trx) => record(trx, outcome));
const seal = () =>
  sealAuditEvents({ db: world.database.db, chainKey: Buffer.alloc(32), holder: "test", clock: systemClock });

async function page(cursor: string | null, limit = 2) {
  const query = `action=unlock&limit=${limit}${cursor === null ? "" : `&cursor=${cursor}`}`;
  return readAs(AuditEventPage, await world.admin(`/v1/admin/audit-events?${query}`));
}

/** What the other pages hold, in their order. */
async function readOn(cursor: string | null, limit = 2): Promise<string[]> {
  const outcomes: string[] = [];
  for (let next = cursor; next !== null; ) {
    const { events, nextCursor } = await page(next, limit);
    outcomes.push(...events.map(({ outcome }) => outcome));
    next = nextCursor;
  }
  return outcomes;
}

test.each([
  ["unsealed", async () => {}],
  ["sealed meanwhile", seal],
])("an event that commits after a page was read is on a later one (%s)", async (_how, meanwhile) => {
  const early = await world.database.db.transaction();
  const earlyToo = await world.database.db.transaction();
  await record(early, "early");
  for (const outcome of ["1", "2"]) await recordNow(outcome);
  await record(earlyToo, "early too");
  for (const outcome of ["3", "4", "5"]) await recordNow(outcome);
  const first = await page(null);
  expect(first.events.map(({ outcome }) => outcome)).toEqual(["1", "2"]);
  await meanwhile();
  await early.commit();
  const second = await page(first.nextCursor);
  expect(second.events.map(({ outcome }) => outcome)).toEqual(["early", "3"]);
  await meanwhile();
  await earlyToo.commit();
  await meanwhile();
  expect(await readOn(second.nextCursor)).toEqual(["early too", "4", "5"]);
});

test("many that come late take several pages, each event once", async () => {
  const early = await world.database.db.transaction();
  for (let event = 0; event < 7; event++) await record(early, `early ${event}`);
  for (let event = 0; event < 5; event++) await recordNow(`later ${event}`);
  const first = await page(null, 3);
  await early.commit();
  expect([...first.events.map(({ outcome }) => outcome), ...(await readOn(first.nextCursor, 3))]).toEqual([
    ...["later 0", "later 1", "later 2"],
    ...Array.from({ length: 7 }, (_, event) => `early ${event}`),
    ...["later 3", "later 4"],
  ]);
});

test("while many write and some roll back, a walk through the pages finds every event of its beginning, none twice", async () => {
  let writing = true;
  const committed: string[] = [];
  const writers = Promise.all(
    Array.from({ length: 4 }, async (_, writer) => {
      for (let event = 0; writing && event < 30; event++) {
        const outcome = `${writer} ${event}`;
        await world.database.db
          .transaction(async (trx) => {
            await record(trx, outcome);
            if (event % 4 === 0) await trx.raw("select pg_sleep(0.01)");
            if (event % 9 === 0) throw new Error("rolled back");
          })
          .then(
            () => void committed.push(outcome),
            () => undefined,
          );
      }
    }),
  );
  const found: string[] = [];
  let cursor: string | null = null;
  for (let pages = 0; pages < 12; pages++) {
    if (pages % 4 === 1) await seal();
    const { events, nextCursor }: Awaited<ReturnType<typeof page>> = await page(cursor, 10);
    found.push(...events.map(({ outcome }) => outcome));
    // At the end of what there is the walk waits for more, from the place it had.
    if (nextCursor === null) {
      if (events.length > 0) found.splice(found.length - events.length);
      await new Promise((resolve) => setTimeout(resolve, 5));
    } else cursor = nextCursor;
  }
  writing = false;
  await writers;
  found.push(...(await readOn(cursor, 50)));
  if (cursor === null) found.push(...(await page(null, 200)).events.map(({ outcome }) => outcome));
  expect(new Set(found).size).toBe(found.length);
  expect(new Set(found)).toEqual(new Set(committed));
});
