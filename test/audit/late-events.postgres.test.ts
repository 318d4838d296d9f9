// Ids are given out in one order and transactions commit in another. Only PostgreSQL: needs transactions side by side.

import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { recordAuditEvent } from "../../src/audit/audit-events-table.ts";
import { sealAuditEvents } from "../../src/audit/seal-audit-events.ts";
import { verifyAuditChain } from "../../src/audit/verify-audit-chain.ts";
import { systemClock } from "../../src/clock.ts";
import type { Transaction } from "../../src/store/database.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";

const chainKey = randomBytes(32);
let database: TestDatabase;
beforeEach(async () => {
  database = await openTestDatabase();
});
afterEach(() => database.close());

const deps = () => ({ db: database.db, chainKey, holder: "test", clock: systemClock });
const record = (trx: Transaction, outcome: string) =>
  recordAuditEvent(trx, { actor: { name: "alice", via: "cli" }, action: "unlock", outcome });

test("an event that commits after later ones were sealed is sealed as well, and nothing is skipped", async () => {
  const early = await database.db.transaction();
  const middle = await database.db.transaction();
  await record(early, "early");
  await record(early, "early too");
  await record(middle, "middle");
  await database.db.transaction((trx) => record(trx, "late"));
  expect(await sealAuditEvents(deps())).toMatchObject({ events: 1 });
  await middle.commit();
  expect(await verifyAuditChain(deps())).toMatchObject({ sealed: 1, waiting: 1, problems: [] });
  expect(await sealAuditEvents(deps())).toMatchObject({ events: 1 });
  await early.commit();
  expect(await sealAuditEvents(deps())).toMatchObject({ events: 2 });
  expect(await verifyAuditChain(deps())).toMatchObject({ sealed: 4, waiting: 0, problems: [] });
  expect(await database.db("audit_gaps")).toEqual([]);
});

test("while events are written from many sides and two processes seal, every event is sealed once", async () => {
  let writing = true;
  const writers = Promise.all(
    Array.from({ length: 6 }, async (_, writer) => {
      for (let event = 0; event < 60; event++) {
        // Every fifth takes its time, every seventh is rolled back.
        await database.db
          .transaction(async (trx) => {
            await record(trx, `${writer} ${event}`);
            if (event % 5 === 0) await trx.raw("select pg_sleep(0.02)");
            if (event % 7 === 0) throw new Error("rolled back");
          })
          .catch(() => undefined);
      }
    }),
  ).finally(() => {
    writing = false;
  });
  const sealers = ["one", "two"].map(async (holder) => {
    while (writing) await sealAuditEvents({ ...deps(), holder });
  });
  await Promise.all([writers, ...sealers]);
  await sealAuditEvents(deps());
  const events = await database.db("audit_events").select("id");
  expect(await verifyAuditChain(deps())).toMatchObject({ sealed: events.length, waiting: 0, problems: [] });
});
