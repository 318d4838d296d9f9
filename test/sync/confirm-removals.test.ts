// `limits.confirmRemovals`: a user is removed when several listings in a row did not name it.

import { expect, test } from "vitest";
import {
  deletions,
  eachTestInSyncWorld,
  people,
  person,
  rename,
  type SyncWorld,
} from "../support/sync-world.ts";

let world: SyncWorld;
eachTestInSyncWorld({ ldif: people(5) }, (fresh) => {
  world = fresh;
  world.directory.limits.confirmRemovals = 3;
  return world.sync();
});

const stateOf = async (username: string) => (await world.user(username)).state;
const elsewhere = "ou=services,dc=example,dc=org";
const move = (uid: string, from: string, to: string) =>
  world.slapd.modify(
    `dn: uid=${uid},${from}\nchangetype: modrdn\nnewrdn: uid=${uid}\ndeleteoldrdn: 1\nnewsuperior: ${to}\n\n`,
  );
const leave = (uid: string) => move(uid, "ou=people,dc=example,dc=org", elsewhere);
const comeBack = (uid: string) => move(uid, elsewhere, "ou=people,dc=example,dc=org");

test("a user is removed by the third listing in a row that does not name it, and each run before says so", async () => {
  await leave("user0001");
  for (const _ of [1, 2]) {
    const run = await world.sync();
    expect(run).toMatchObject({ counts: { removed: 0 }, notes: [{ code: "removals-unconfirmed" }] });
    expect(await stateOf("user0001")).toBe("active");
  }
  expect(await world.sync()).toMatchObject({ counts: { removed: 1 }, notes: [] });
  expect(await stateOf("user0001")).toBe("removed");
  expect(await world.database.db("user_absences")).toEqual([]);
});

test("a user that is listed in between is counted anew", async () => {
  await leave("user0001");
  await world.sync();
  await world.sync();
  await comeBack("user0001");
  await world.sync();
  await leave("user0001");
  await world.sync();
  await world.sync();
  expect(await stateOf("user0001")).toBe("active");
  await world.sync();
  expect(await stateOf("user0001")).toBe("removed");
});

test("a user that is listed by a held run in between is counted anew", async () => {
  await leave("user0001");
  await world.sync();
  await world.sync();
  await comeBack("user0001");
  // Held for another reason, and complete.
  world.directory.limits.renames = { count: 0, percent: 0 };
  await world.slapd.modify(rename("user0002", "renamed"));
  expect((await world.sync({ dryRun: true })).status).toBe("held");
  expect(await world.database.db("user_absences")).toHaveLength(1);
  expect((await world.sync()).status).toBe("held");
  expect(await world.database.db("user_absences")).toEqual([]);
  await leave("user0001");
  expect((await world.sync()).status).toBe("held");
  world.directory.limits.renames = { count: 10, percent: 100 };
  await world.sync();
  await world.sync();
  expect(await stateOf("user0001")).toBe("active");
});

test("users are counted each on their own", async () => {
  await leave("user0001");
  await world.sync();
  await leave("user0002");
  await world.sync();
  expect((await world.sync()).counts).toMatchObject({ removed: 1 });
  expect([await stateOf("user0001"), await stateOf("user0002")]).toEqual(["removed", "active"]);
});

test("a dry run and a failed run count nothing", async () => {
  await leave("user0001");
  for (const _ of [1, 2, 3]) await world.sync({ dryRun: true });
  const { bases } = world.directory.users;
  world.directory.users.bases = ["ou=nowhere,dc=example,dc=org"];
  for (const _ of [1, 2, 3]) expect((await world.sync()).status).toBe("failed");
  world.directory.users.bases = bases;
  await world.sync();
  expect(await stateOf("user0001")).toBe("active");
});

test("the limits on removals hold the run that would carry them out, and approving it removes", async () => {
  world.directory.limits.removals = { count: 1, percent: 5 };
  await world.slapd.modify(deletions(["user0001", "user0002"]));
  expect((await world.sync()).status).toBe("succeeded");
  expect((await world.sync()).status).toBe("succeeded");
  const held = await world.sync();
  expect(held).toMatchObject({ status: "held", counts: { removed: 2 } });
  const run = await world.sync({ trigger: "approval", approves: held });
  expect(run.counts).toMatchObject({ removed: 2 });
});

test("a new entry under the name of a user who is missing waits until that one is removed", async () => {
  await world.slapd.modify(deletions(["user0001"]));
  await world.slapd.add(person("user0001"));
  expect((await world.sync()).counts).toMatchObject({ added: 0, removed: 0, skipped: 1 });
  await world.sync();
  expect((await world.sync()).counts).toMatchObject({ added: 1, removed: 1, skipped: 0 });
});
