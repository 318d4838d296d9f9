// The chain that seals audit events: whatever is done to sealed events is found (rule 24).

import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { recordAuditEvent } from "../../src/audit/audit-events-table.ts";
import { type SealAuditAnswer, sealAuditEvents } from "../../src/audit/seal-audit-events.ts";
import { verifyAuditChain } from "../../src/audit/verify-audit-chain.ts";
import { systemClock } from "../../src/clock.ts";
import { acquireLease } from "../../src/store/leases-table.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";
import { emptyDatabase } from "../verification/verification-world.ts";

const chainKey = randomBytes(32);
const clock = systemClock;
let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
beforeEach(() => emptyDatabase(database));
afterAll(() => database.close());

const record = (outcome: string, trx?: Parameters<typeof recordAuditEvent>[0]) => {
  const event = {
    actor: { name: "alice", via: "cli" },
    action: "unlock",
    outcome,
    details: { n: 1 },
  } as const;
  return trx ? recordAuditEvent(trx, event) : database.db.transaction((own) => recordAuditEvent(own, event));
};
const seal = (): Promise<SealAuditAnswer> =>
  sealAuditEvents({ db: database.db, chainKey, holder: "test", clock });
const verify = (knownHead?: { position: string; mac: string }) =>
  verifyAuditChain({ db: database.db, chainKey, clock }, knownHead ? { knownHead } : {});

async function sealedEvents(count: number): Promise<string[]> {
  for (let event = 0; event < count; event++) await record(`outcome ${event}`);
  await seal();
  return (await database.db("audit_events").select("id").orderBy("id")).map(({ id }) => id);
}

/** What someone with all rights on the database can do: no trigger and no constraint stands in the way. */
async function tamper(...statements: string[]): Promise<void> {
  await database.db.transaction(async (trx) => {
    await trx.raw("set local session_replication_role = replica");
    for (const statement of statements) await trx.raw(statement);
  });
}

test("an untouched chain has no problems, and knows how far it reaches", async () => {
  await sealedEvents(5);
  await record("not sealed yet");
  const { head, ...verification } = await verify();
  expect(verification).toEqual({
    sealed: 5,
    waiting: 1,
    accepted: 0,
    problems: [],
    gaps: [],
    cutUpTo: null,
    knownHeadFound: null,
    keptHeadFound: null,
  });
  expect(head).toMatchObject({ position: "5", mac: expect.stringMatching(/^[0-9a-f]{64}$/) });
});

test("a chain over no events has no problems", async () => {
  expect(await seal()).toMatchObject({ outcome: "sealed", events: 0 });
  expect(await verify()).toMatchObject({ sealed: 0, waiting: 0, problems: [] });
});

test("sealing again seals only what is new, in one chain", async () => {
  await sealedEvents(3);
  await record("later");
  expect(await seal()).toMatchObject({ events: 1, head: { position: "4" } });
  expect(await seal()).toMatchObject({ events: 0, head: { position: "4" } });
  expect((await verify()).problems).toEqual([]);
});

test("more events than one batch holds are sealed in order", async () => {
  await database.db.raw(
    `insert into audit_events (actor, via, action, outcome, details)
     select 'a', 'cli', 'unlock', n::text, '{}' from generate_series(1, 1200) n`,
  );
  expect(await seal()).toMatchObject({ events: 1200, head: { position: "1200" } });
  expect(await verify()).toMatchObject({ sealed: 1200, problems: [] });
});

describe("someone with all rights on the database", () => {
  test.each([
    ["outcome", "'other'"],
    ["actor", "'mallory'"],
    ["via", "'api'"],
    ["action", "'verification'"],
    ["user_id", "gen_random_uuid()"],
    ["directory", "'main'"],
    ["at", "at + interval '1 microsecond'"],
    ["details", "details || '{\"n\": 2}'"],
    ["request_id", "'another-request'"],
  ])("who edits the %s of an event is found, and the event is named", async (column, value) => {
    const [, second] = await sealedEvents(3);
    await tamper(`update audit_events set ${column} = ${value} where id = ${second}`);
    expect((await verify()).problems).toEqual([{ kind: "edited", position: "2", eventId: second }]);
  });

  test("who removes an event is found", async () => {
    const [, second] = await sealedEvents(3);
    await tamper(`delete from audit_events where id = ${second}`);
    expect((await verify()).problems).toEqual([{ kind: "removed", position: "2", eventId: second }]);
  });

  test("who removes an event and its seal is found", async () => {
    const [, second] = await sealedEvents(3);
    await tamper(
      `delete from audit_events where id = ${second}`,
      "delete from audit_seals where position = 2",
    );
    expect((await verify()).problems).toEqual([{ kind: "removed", position: "2", eventId: null }]);
  });

  test("who also closes the gap in the positions is found", async () => {
    const [, second, third] = await sealedEvents(4);
    await tamper(
      `delete from audit_events where id = ${second}`,
      "delete from audit_seals where position = 2",
      "update audit_seals set position = 2 where position = 3",
      "update audit_seals set position = 3 where position = 4",
    );
    expect((await verify()).problems).toEqual([{ kind: "reordered", position: "2", eventId: third }]);
  });

  test("who removes the beginning is found", async () => {
    await sealedEvents(3);
    await tamper(
      "delete from audit_events where outcome = 'outcome 0'",
      "delete from audit_seals where position = 1",
      "update audit_seals set position = position - 1 where position = 2",
      "update audit_seals set position = position - 1 where position = 3",
    );
    expect((await verify()).problems).toMatchObject([{ kind: "reordered", position: "1" }]);
  });

  test("who lets two events change places is found, and both are named", async () => {
    const [first, , third] = await sealedEvents(3);
    await tamper(
      `update audit_events one set at = other.at, outcome = other.outcome from audit_events other
       where (one.id, other.id) in ((${first}, ${third}), (${third}, ${first}))`,
    );
    expect((await verify()).problems).toEqual([
      { kind: "reordered", position: "1", eventId: first },
      { kind: "reordered", position: "3", eventId: third },
    ]);
  });

  test("who lets two seals change places is found", async () => {
    const [, second, third] = await sealedEvents(4);
    await tamper(
      "update audit_seals set position = 100 where position = 2",
      "update audit_seals set position = 2 where position = 3",
      "update audit_seals set position = 3 where position = 100",
    );
    const { problems } = await verify();
    expect(problems).toContainEqual({ kind: "reordered", position: "2", eventId: third });
    expect(problems).toContainEqual({ kind: "reordered", position: "3", eventId: second });
  });

  test("who inserts an event before sealed ones is found, before and after the next sealing", async () => {
    await sealedEvents(3);
    await tamper(
      `insert into audit_events (id, actor, via, action, outcome, details) overriding system value
       values (-5, 'alice', 'cli', 'unlock', 'done', '{}')`,
    );
    const found = [{ kind: "inserted", position: null, eventId: "-5" }];
    expect((await verify()).problems).toEqual(found);
    await seal();
    expect((await verify()).problems).toEqual(found);
  });

  test("who makes seals of their own without the key is found", async () => {
    const [first, second] = await sealedEvents(3);
    await tamper(
      `update audit_events set outcome = 'other' where id = ${second}`,
      `update audit_seals set event_mac = sha256('other') where event_id = ${second}`,
      `update audit_seals set chain_mac = sha256('other') where event_id = ${second}`,
    );
    const { problems } = await verify();
    expect(problems).toContainEqual({ kind: "edited", position: "2", eventId: second });
    expect(problems).toContainEqual({ kind: "reordered", position: "2", eventId: second });
    expect(problems.some(({ eventId }) => eventId === first)).toBe(false);
  });

  test("who moves a seal far off fills no memory", async () => {
    await sealedEvents(3);
    await tamper("update audit_seals set position = 9223372036854775807 where position = 3");
    const { problems } = await verify();
    expect(problems.length).toBeLessThan(200);
    expect(problems[0]).toEqual({ kind: "removed", position: "3", eventId: null });
  });

  test("who cuts off the end is found by a head that was noted before", async () => {
    await sealedEvents(2);
    const short = (await verify()).head;
    await record("last");
    await seal();
    const noted = (await verify()).head;
    await tamper(
      "delete from audit_events where outcome = 'last'",
      "delete from audit_seals where position = 3",
    );
    expect(await verify()).toMatchObject({ problems: [] });
    expect(await verify(noted)).toMatchObject({ knownHeadFound: false });
    expect(await verify(short)).toMatchObject({ knownHeadFound: true });
  });
});

test("a chain read with another key is wrong everywhere", async () => {
  await sealedEvents(2);
  const { problems } = await verifyAuditChain({ db: database.db, chainKey: randomBytes(32), clock });
  expect(problems).toHaveLength(4);
});

test.each(["audit_events", "audit_seals"])("%s takes no update, no delete and no truncate", async (table) => {
  await sealedEvents(1);
  const column = table === "audit_events" ? "actor = 'x'" : "event_mac = ''";
  await expect(database.db.raw(`update ${table} set ${column}`)).rejects.toMatchObject({ code: "42501" });
  await expect(database.db.raw(`delete from ${table}`)).rejects.toMatchObject({ code: "42501" });
  await expect(database.db.raw(`truncate ${table} cascade`)).rejects.toMatchObject({ code: "42501" });
});

test("while another process seals, this one leaves it to it", async () => {
  await record("waiting");
  await acquireLease(database.db, { name: "audit-sealing", holder: "other", ttlMs: 60_000 });
  expect(await seal()).toMatchObject({ outcome: "busy" });
});

test("an id that was given out and rolled back leaves a gap that is no problem", async () => {
  await record("first");
  await expect(
    database.db.transaction(async (trx) => {
      await record("rolled back", trx);
      throw new Error("no");
    }),
  ).rejects.toThrow("no");
  await record("third");
  await seal();
  expect(await verify()).toMatchObject({ sealed: 2, problems: [], gaps: [{ firstId: "2", lastId: "2" }] });
});
