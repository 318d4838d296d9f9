// Old audit events are cut off so that what is left still verifies, and nothing else is ever deleted (rule 24).

import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startAuditSealing } from "../../src/audit/audit-sealing.ts";
import { type CutAnswer, cutOldEvents } from "../../src/audit/cut-old-events.ts";
import { notedHeadOf } from "../../src/audit/noted-head.ts";
import { type SealAuditAnswer, sealAuditEvents } from "../../src/audit/seal-audit-events.ts";
import { verifyAuditChain } from "../../src/audit/verify-audit-chain.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";
import { emptyDatabase } from "../verification/verification-world.ts";

const chainKey = randomBytes(32);
const dayMs = 24 * 60 * 60 * 1000;
let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
beforeEach(() => emptyDatabase(database));
afterAll(() => database.close());

const daysAgo = (days: number) => new Date(Date.now() - days * dayMs);
const depsOn = (days: number) => ({
  db: database.db,
  chainKey,
  holder: "test",
  clock: { now: () => daysAgo(days) },
});

/** As many events as there are days, each written and sealed on its day. */
async function eventsOfDays(...days: number[]): Promise<void> {
  for (const day of days) {
    await database.db("audit_events").insert({
      at: daysAgo(day),
      actor: "alice",
      via: "cli",
      action: "unlock",
      outcome: `${day} days ago`,
      details: "{}",
    });
    await sealAuditEvents(depsOn(day));
  }
}

const seal = (): Promise<SealAuditAnswer> => sealAuditEvents(depsOn(0));
const cut = (days = 90): Promise<CutAnswer> =>
  cutOldEvents(depsOn(0), { retentionMs: days * dayMs, actor: { name: "retention", via: "daemon" } });
const verify = (knownHead?: { position: string; mac: string }) => verifyAuditChain(depsOn(0), { knownHead });
const outcomes = async () =>
  (await database.db("audit_events").select("outcome").orderBy("id")).map(({ outcome }) => outcome);

async function tamper(...statements: string[]): Promise<void> {
  await database.db.transaction(async (trx) => {
    await trx.raw("set local session_replication_role = replica");
    for (const statement of statements) await trx.raw(statement);
  });
}

test("events past their time go, the rest verifies, and the cut is an event", async () => {
  await eventsOfDays(200, 150, 100, 50, 10);
  expect(await cut()).toEqual({ outcome: "cut", events: 3 });
  expect(await outcomes()).toEqual(["50 days ago", "10 days ago", "done"]);
  await seal();
  expect(await verify()).toMatchObject({ sealed: 3, problems: [], gaps: [], cutUpTo: "3" });
  const [event] = await database.db("audit_events").where({ action: "audit-cut" });
  expect(event).toMatchObject({ actor: "retention", details: { events: 3, upToPosition: "3" } });
});

test("an oldest event that somebody deleted is told, and nothing behind it is cut (rule 24)", async () => {
  await eventsOfDays(200, 150, 100, 10);
  await tamper("delete from audit_events where id = (select min(id) from audit_events)");
  expect(await cut()).toMatchObject({ outcome: "refused", problems: [{ kind: "removed" }] });
  expect(await outcomes()).toEqual(["150 days ago", "100 days ago", "10 days ago"]);
});

test("a second cut goes on from the first, and a head noted before both is covered by the anchor", async () => {
  await eventsOfDays(200, 150);
  const { head } = await verify();
  await eventsOfDays(100, 50, 10);
  await cut(120);
  expect(await cut(40)).toEqual({ outcome: "cut", events: 2 });
  await seal();
  expect(await verify(head)).toMatchObject({ problems: [], cutUpTo: "4", knownHeadFound: true });
  const kept = { ...head, notedAt: daysAgo(150) };
  expect(await sealAuditEvents(depsOn(0), { kept })).toMatchObject({ outcome: "sealed" });
});

test("an old event behind a young one stays, and the last sealed event stays however old", async () => {
  await eventsOfDays(200, 10, 150);
  expect(await cut()).toEqual({ outcome: "cut", events: 1 });
  expect(await outcomes()).toEqual(["10 days ago", "150 days ago", "done"]);
  await emptyDatabase(database);
  await eventsOfDays(200, 150);
  expect(await cut()).toEqual({ outcome: "cut", events: 1 });
  expect((await verify()).problems).toEqual([]);
});

test("more than a batch goes in several, and all of it is one state for whoever verifies", async () => {
  await database.db.raw(
    `insert into audit_events (at, actor, via, action, outcome, details)
     select now() - interval '100 days', 'a', 'cli', 'unlock', n::text, '{}' from generate_series(1, 2500) n`,
  );
  await sealAuditEvents(depsOn(100));
  await eventsOfDays(1);
  expect(await cut()).toEqual({ outcome: "cut", events: 2500 });
  await seal();
  expect(await verify()).toMatchObject({ problems: [], cutUpTo: "2500" });
});

test("a process whose clock is ten years ahead cuts nothing off", async () => {
  await eventsOfDays(50, 10);
  const input = { retentionMs: 90 * dayMs, actor: { name: "retention", via: "daemon" } } as const;
  expect(await cutOldEvents(depsOn(-3650), input)).toEqual({ outcome: "cut", events: 0 });
  expect(await outcomes()).toHaveLength(2);
});

test("events that are not as they were sealed stay, for they are what shows it", async () => {
  await eventsOfDays(200, 150, 10);
  await tamper("update audit_events set actor = 'mallory' where id = 2");
  expect(await cut()).toMatchObject({ outcome: "refused", problems: [{ kind: "edited", eventId: "2" }] });
  expect(await outcomes()).toHaveLength(3);
});

test("someone with all rights on the database cannot cut unnoticed", async () => {
  await eventsOfDays(200, 150, 100, 50);
  await database.db.raw("select cut_audit(2, now(), 'made up')");
  const forged = { kind: "forged-cut", position: "2", eventId: null };
  expect((await verify()).problems).toEqual([forged]);
  const kept = { ...notedHeadOf({ position: "1", chainMac: Buffer.alloc(32) }), notedAt: daysAgo(1) };
  expect(await sealAuditEvents(depsOn(0), { kept })).toMatchObject({
    outcome: "broken",
    broken: { kind: "forged-cut" },
  });
  expect(await cut()).toEqual({ outcome: "refused", problems: [forged] });
});

test("nor move a true anchor to another place", async () => {
  await eventsOfDays(200, 150, 100, 50);
  await cut(120);
  await tamper(
    "update audit_anchors set position = 3, chain_mac = (select chain_mac from audit_seals where position = 3)",
    "delete from audit_seals where position = 3",
    "delete from audit_events where outcome = '100 days ago'",
  );
  expect((await verify()).problems).toMatchObject([{ kind: "forged-cut", position: "3" }]);
});

test.each([
  ["an event of the last day", "select cut_audit(3, now(), 'x')"],
  ["the last seal", "select cut_audit(4, now(), 'x')"],
  ["what is not there", "select cut_audit(0, now(), 'x')"],
  ["an event that was not cut off", "delete from audit_events where id = 2"],
  ["a seal that was not cut off", "delete from audit_seals where position = 2"],
  ["an anchor", "delete from audit_anchors"],
  ["the time of an anchor", "update audit_anchors set cut_at = now()"],
])("the database lets nobody delete %s", async (_what, statement) => {
  await eventsOfDays(200, 150, 0, 0);
  await cut(180);
  await expect(database.db.raw(statement)).rejects.toMatchObject({ code: "42501" });
});

test("a daemon cuts them off by itself", async () => {
  await eventsOfDays(40, 35, 1);
  const headFolder = await mkdtemp(join(tmpdir(), "dirmfa-head-"));
  const log = pino({ level: "silent" });
  const actor = { name: "retention", via: "daemon" } as const;
  const retentionMs = () => 30 * dayMs;
  const sealing = startAuditSealing({ ...depsOn(0), log, headFolder, actor, retentionMs });
  await sealing.stop(); // after a last round
  await rm(headFolder, { recursive: true });
  const left = await database.db("audit_events").orderBy("id").pluck("outcome");
  expect(left).toEqual(["1 days ago", "done"]);
});
