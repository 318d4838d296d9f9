// Staging stands outside the write-ahead log: a crash of the database empties it, and a failover may lose commits. Whatever is
// lost between two steps of a run, the run fails and the store is as before (rule 5).

import { randomUUID } from "node:crypto";
import { pino } from "pino";
import { expect, test } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { makePlan } from "../../src/sync/make-plan.ts";
import { stageListing } from "../../src/sync/stage-listing.ts";
import type { SyncRun } from "../../src/sync/sync-run.ts";
import { eachTestInSyncWorld, people, person, type SyncWorld, storedFacts } from "../support/sync-world.ts";

const group = (cn: string, uid: string) =>
  `dn: cn=${cn},ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: ${cn}\n` +
  `member: uid=${uid},ou=people,dc=example,dc=org\n\n`;
const nameless = ldifEntry("cn=nameless,ou=people,dc=example,dc=org", [
  ["objectClass", "inetOrgPerson"],
  ["cn", "nameless"],
  ["sn", "nameless"],
]);

let world: SyncWorld;
eachTestInSyncWorld({ ldif: people(20) + group("kept", "user0001") + nameless }, async (fresh) => {
  world = fresh;
  Object.assign(world.directory.limits, { removals: { count: 1000, percent: 100 } });
  world.directory.users.filter = "(objectClass=inetOrgPerson)";
  expect((await world.sync()).counts).toMatchObject({ added: 20, skipped: 1 });
  await world.slapd.add(person("hired") + group("new", "hired"));
});

const groupsOf = async () => (await world.user("user0001")).groups.map(({ name }) => name);

const staged = ["staged_pages", "staged_entries", "staged_groups", "staged_group_members"];
test("what is lost of any table before the plan is missed by it", async () => {
  const { db } = world.database;
  const { directory } = world;
  const signal = new AbortController().signal;
  for (const table of [...staged, "sync_skips"]) {
    const run = { id: randomUUID(), directory: "example", approves: null, approvedPlan: null };
    const listing = await stageListing({ db, log: pino({ level: "silent" }) }, { run, directory, signal });
    expect(await db(table).where({ run_id: run.id }).delete(), table).toBeGreaterThan(0);
    const plan = makePlan(db, {
      run,
      directory,
      directories: [directory.name],
      listing,
      approvedHolds: [],
      askAgain: async () => new Map(),
    });
    await expect(plan, table).rejects.toMatchObject({ code: "run-incomplete-staging" });
  }
});

test("what is lost of any table between plan and apply fails the run", async () => {
  const before = await storedFacts(world);
  for (const table of [...staged, "staged_memberships", "sync_changes", "sync_skips"]) {
    const run = await syncWhilePlanCommits(`delete from ${table}`);
    expect(run, table).toMatchObject({ status: "failed", error: { code: "run-incomplete-staging" } });
    expect(await storedFacts(world)).toEqual(before);
    expect(await groupsOf()).toEqual(["kept"]);
  }
  expect(await world.sync()).toMatchObject({ status: "succeeded", counts: { added: 1, removed: 0 } });
});

test("a plan is not applied when what is remembered of its directory has changed meanwhile", async () => {
  const run = await syncWhilePlanCommits("update directories set first_imported_at = null");
  expect(run).toMatchObject({ status: "failed", error: { code: "aborted" } });
});

test("a user who is purged between plan and apply is not told as restored, and the next run adds them", async () => {
  const { db } = world.database;
  await db("users")
    .where({ username: "user0001" })
    .update({ state: "removed", removed_at: new Date("2020-01-01") });
  const run = await syncWhilePlanCommits("delete from users where state = ''removed''");
  expect(run).toMatchObject({ status: "failed", error: { code: "aborted" } });
  expect(await world.sync()).toMatchObject({ status: "succeeded", counts: { added: 2, restored: 0 } });
});

/** A run between whose plan and apply `statement` happens: at the commit of the plan. */
async function syncWhilePlanCommits(statement: string): Promise<SyncRun> {
  const { db } = world.database;
  await db.raw(
    `create function meanwhile() returns trigger language plpgsql as 'begin ${statement}; return null; end'`,
  );
  await db.raw(
    `create constraint trigger meanwhile after insert on sync_changes deferrable initially deferred
     for each row execute function meanwhile()`,
  );
  try {
    return await world.sync();
  } finally {
    await db.raw("drop function meanwhile cascade");
  }
}
