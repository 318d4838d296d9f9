// What the database's owner can do to the audit, and who notices: daemons keep the chain's end outside the database, and
// seals carry their time under the MAC (rule 24).

import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { acceptAudit } from "../../src/audit/acceptance.ts";
import { recordAuditEvent } from "../../src/audit/audit-events-table.ts";
import { startAuditSealing } from "../../src/audit/audit-sealing.ts";
import { notedHeadOf, readKeptHead, writeKeptHead } from "../../src/audit/noted-head.ts";
import { type SealAuditAnswer, sealAuditEvents } from "../../src/audit/seal-audit-events.ts";
import { verifyAuditChain } from "../../src/audit/verify-audit-chain.ts";
import type { Clock } from "../../src/clock.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";
import { emptyDatabase } from "../verification/verification-world.ts";

const chainKey = randomBytes(32);
const alice = { name: "alice", via: "cli" } as const;
let database: TestDatabase;
let folders: string[];
/** Minutes that the processes' clocks are after the database's, as if that time had passed. */
let passedMinutes: number;
const clock: Clock = { now: () => new Date(Date.now() + passedMinutes * 60_000) };

beforeAll(async () => {
  database = await openTestDatabase();
});
beforeEach(async () => {
  await emptyDatabase(database);
  folders = [];
  passedMinutes = 0;
});
afterEach(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});
afterAll(() => database.close());

const record = (outcome: string) =>
  database.db.transaction((trx) => recordAuditEvent(trx, { actor: alice, action: "unlock", outcome }));

interface Replica {
  folder: string;
  seal(): Promise<SealAuditAnswer>;
}

/** A daemon as far as the audit goes: it keeps the head in its folder. */
async function replica(): Promise<Replica> {
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-head-"));
  folders.push(folder);
  return {
    folder,
    async seal() {
      const kept = await readKeptHead(folder);
      const answer = await sealAuditEvents({ db: database.db, chainKey, holder: folder, clock }, { kept });
      if (answer.outcome !== "broken") {
        await writeKeptHead(folder, { ...notedHeadOf(answer.head), notedAt: clock.now() });
      }
      return answer;
    },
  };
}

const verify = async (keeper?: Replica) =>
  verifyAuditChain(
    { db: database.db, chainKey, clock },
    keeper ? { keptHead: await readKeptHead(keeper.folder) } : {},
  );

/** A replica that has sealed so many events. */
async function sealedBy(count: number): Promise<Replica> {
  const one = await replica();
  for (let event = 0; event < count; event++) await record(`outcome ${event}`);
  expect(await one.seal()).toMatchObject({ outcome: "sealed", events: count, late: [] });
  return one;
}

async function tamper(...statements: string[]): Promise<void> {
  await database.db.transaction(async (trx) => {
    await trx.raw("set local session_replication_role = replica");
    for (const statement of statements) await trx.raw(statement);
  });
}

const cutOffAndEdit = [
  "delete from audit_seals where position > 1",
  "update audit_events set actor = 'mallory' where outcome = 'outcome 2'",
  "delete from audit_events where outcome = 'outcome 3'",
  "delete from audit_gaps",
];

describe("seals cut off for the daemon to seal anew", () => {
  test("are not sealed over, and the daemon says that the end is missing", async () => {
    const daemon = await sealedBy(4);
    await tamper(...cutOffAndEdit);
    const broken = { outcome: "broken", broken: { kind: "head-missing", position: "4" } };
    expect(await daemon.seal()).toEqual(broken);
    await record("later");
    expect(await daemon.seal()).toEqual(broken);
    expect(await database.db("audit_seals")).toHaveLength(1);
    expect(await verify(daemon)).toMatchObject({ keptHeadFound: false });
  });

  test("are found by each replica that has seen them, and by its restart, whoever seals them anew", async () => {
    const daemon = await sealedBy(4);
    const second = await replica();
    await second.seal();
    const newcomer = await replica();
    await tamper(...cutOffAndEdit);
    // A replica that never saw the chain cannot know, and seals; it makes the others no less sure.
    expect(await newcomer.seal()).toMatchObject({ outcome: "sealed" });
    for (const one of [daemon, second])
      expect(await one.seal()).toMatchObject({ outcome: "broken", broken: { kind: "head-missing" } });
  });

  test("also with the key gone, so that a new one would be made", async () => {
    const daemon = await sealedBy(3);
    await tamper("delete from audit_seals", "update audit_events set actor = 'mallory'");
    const kept = await readKeptHead(daemon.folder);
    const anew = { db: database.db, chainKey: randomBytes(32), holder: "restarted", clock };
    expect(await sealAuditEvents(anew, { kept })).toMatchObject({ outcome: "broken" });
  });
});

const madeUpSeal = `insert into audit_seals (position, event_id, event_mac, chain_mac, version)
  select 3, max(id), sha256('a'), sha256('b'), 2 from audit_events`;

test("what is put after the end by someone without the key is not sealed over", async () => {
  const daemon = await sealedBy(2);
  await record("made up");
  await tamper(madeUpSeal);
  expect(await daemon.seal()).toMatchObject({
    outcome: "broken",
    broken: { kind: "not-as-sealed", problems: [{ position: "3" }, { position: "3" }] },
  });
});

const countWaiting = async () => {
  const { rows } = await database.db.raw(
    `select from pg_locks where relation = 'leases'::regclass and not granted
     and database = (select oid from pg_database where datname = current_database())`,
  );
  return rows.length;
};

test("what is put there between the daemon's look at the chain and its own seals is not sealed over", async () => {
  const daemon = await sealedBy(2);
  await record("made up");
  const owner = await database.db.transaction();
  await owner.raw("lock table leases in access exclusive mode");
  const sealing = daemon.seal();
  await expect.poll(countWaiting).toBe(1);
  await owner.raw(madeUpSeal);
  await owner.commit();
  expect(await sealing).toMatchObject({ outcome: "broken", broken: { kind: "not-as-sealed" } });
  expect(await database.db("audit_seals")).toHaveLength(3);
});

describe("a break that an admin accepts", () => {
  const accept = () =>
    acceptAudit(
      { db: database.db, chainKey, clock },
      { actor: alice, reason: "restored the backup of Monday" },
    );

  test("lets every replica go on from the chain that is there", async () => {
    const daemon = await sealedBy(4);
    const second = await replica();
    await second.seal();
    await tamper("delete from audit_seals where position > 2", "delete from audit_events where id > 2");
    passedMinutes += 1;
    await accept();
    expect(await daemon.seal()).toMatchObject({ outcome: "sealed", events: 1, head: { position: "3" } });
    expect(await second.seal()).toMatchObject({ outcome: "sealed", head: { position: "3" } });
    expect(await verify(daemon)).toMatchObject({ problems: [], keptHeadFound: true });
    expect(await database.db("audit_events").where({ action: "audit-accept" })).toHaveLength(1);
  });

  test("is accepted once: an acceptance of before hides nothing that is cut off later", async () => {
    const daemon = await sealedBy(2);
    passedMinutes += 1;
    await accept();
    passedMinutes += 1;
    await record("later");
    await daemon.seal();
    await tamper(
      "delete from audit_seals where position > 2",
      "delete from audit_events where outcome = 'later'",
    );
    expect(await daemon.seal()).toMatchObject({ outcome: "broken" });
  });

  test("cannot be accepted by someone without the key", async () => {
    const daemon = await sealedBy(4);
    await tamper("delete from audit_seals where position > 2", "delete from audit_events where id > 2");
    passedMinutes += 1;
    await acceptAudit({ db: database.db, chainKey: randomBytes(32), clock }, { actor: alice, reason: "-" });
    expect(await daemon.seal()).toMatchObject({ outcome: "broken" });
  });

  test("makes no edited event right", async () => {
    const daemon = await sealedBy(3);
    await tamper("update audit_events set actor = 'mallory' where id = 2");
    passedMinutes += 1;
    await accept();
    await daemon.seal();
    expect((await verify()).problems).toEqual([{ kind: "edited", position: "2", eventId: "2" }]);
  });
});

describe("events that are sealed late or never", () => {
  test("an event of long ago with an id below all others is sealed with a word, and fails the verification", async () => {
    const daemon = await sealedBy(2);
    await tamper(
      `insert into audit_events (id, at, actor, via, action, outcome, details) overriding system value
       values (-7, '2020-01-01', 'alice', 'cli', 'unlock', 'done', '{}')`,
      "insert into audit_gaps (first_id, last_id) values (-10, -1)",
    );
    expect(await daemon.seal()).toMatchObject({ events: 1, late: [{ kind: "late", eventId: "-7" }] });
    expect((await verify()).problems).toMatchObject([
      { kind: "inserted", position: "3", eventId: "-7" },
      { kind: "late", position: "3", eventId: "-7", at: "2020-01-01T00:00:00.000000Z" },
    ]);
  });

  test("the time of a seal cannot be changed", async () => {
    const daemon = await sealedBy(1);
    await record("held back");
    passedMinutes += 60;
    await daemon.seal();
    expect((await verify()).problems).toMatchObject([{ kind: "late", position: "2" }]);
    await tamper("update audit_seals set sealed_at = now() where position = 2");
    expect((await verify()).problems).toMatchObject([{ kind: "reordered", position: "2" }]);
  });

  test("a seal that is passed off as one of an older version is found", async () => {
    await sealedBy(2);
    await tamper("update audit_seals set version = 1 where position = 2");
    const { problems } = await verify();
    expect(problems.map(({ kind, position }) => `${kind} ${position}`)).toEqual(["edited 2", "reordered 2"]);
  });

  test("an event that says a time to come is found", async () => {
    const daemon = await sealedBy(1);
    await tamper(
      `insert into audit_events (at, actor, via, action, outcome, details)
       values (now() + interval '1 day', 'alice', 'cli', 'unlock', 'done', '{}')`,
    );
    await daemon.seal();
    expect((await verify()).problems).toMatchObject([{ kind: "misdated", eventId: "2" }]);
  });

  test("an event that stays without a seal fails the verification", async () => {
    await sealedBy(1);
    await record("never sealed");
    expect(await verify()).toMatchObject({ waiting: 1, problems: [] });
    passedMinutes += 20;
    expect((await verify()).problems).toEqual([{ kind: "unsealed", position: null, eventId: "2" }]);
  });

  test("how long the oldest one waits is measured, for the metrics", async () => {
    const daemon = await sealedBy(1);
    await record("waits");
    passedMinutes += 5;
    const log = pino({ level: "silent" });
    const its = { headFolder: daemon.folder, actor: alice, retentionMs: () => undefined };
    const sealing = startAuditSealing({ db: database.db, chainKey, holder: "test", clock, log, ...its });
    const { unsealedSeconds } = await sealing.measure();
    expect(unsealedSeconds).toBeGreaterThanOrEqual(299);
    expect(unsealedSeconds).toBeLessThan(330);
    await sealing.stop(); // after a last round
    expect(await sealing.measure()).toEqual({ unsealedSeconds: 0, broken: false });
  });

  test("after a stay without a daemon an admin accepts, and later late seals are found again", async () => {
    const daemon = await sealedBy(1);
    await record("by the command line, on Saturday");
    passedMinutes += 2 * 24 * 60;
    await acceptAudit({ db: database.db, chainKey, clock }, { actor: alice, reason: "maintenance" });
    await daemon.seal();
    // The acceptance itself has the database's time here, which did not pass.
    expect(await verify()).toMatchObject({ problems: [], accepted: 2 });
    await record("held back again");
    passedMinutes += 60;
    await daemon.seal();
    expect((await verify()).problems).toMatchObject([{ kind: "late", position: "4" }]);
  });

  test("an event that is deleted before its seal leaves a gap that the verification shows", async () => {
    const daemon = await sealedBy(1);
    await record("deleted");
    await record("stays");
    await tamper("delete from audit_events where outcome = 'deleted'");
    await daemon.seal();
    expect(await verify()).toMatchObject({ problems: [], gaps: [{ firstId: "2", lastId: "2" }] });
  });

  test("a lease that is parked for a hundred years keeps nobody from sealing", async () => {
    const daemon = await sealedBy(1);
    await tamper(
      "update leases set holder = 'nobody', token = token + 1, expires_at = now() + interval '100 years'",
    );
    await record("later");
    expect(await daemon.seal()).toMatchObject({ outcome: "sealed", events: 1 });
  });
});

describe("the file with the head", () => {
  test("is replaced whole, and leaves nothing beside it", async () => {
    const daemon = await sealedBy(3);
    await record("later");
    await daemon.seal();
    expect(await readdir(daemon.folder)).toEqual(["audit-head.json"]);
    expect(await readKeptHead(daemon.folder)).toMatchObject({ position: "4" });
  });

  test.each(["", "{}", '{"position":"1"', "\u0000".repeat(4096)])(
    "that is damaged (%j) is told and not taken for none",
    async (text) => {
      const daemon = await sealedBy(1);
      await writeFile(join(daemon.folder, "audit-head.json"), text);
      await expect(daemon.seal()).rejects.toMatchObject({ code: "audit-head-unreadable" });
    },
  );
});
