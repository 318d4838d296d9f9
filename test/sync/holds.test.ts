// Runs that are held, and what approving them does (rule 6).

import { expect, test } from "vitest";
import type { SyncRun } from "../../src/sync/sync-run.ts";
import {
  deletions,
  eachTestInSyncWorld,
  people,
  person,
  type SyncWorld,
  storedFacts,
} from "../support/sync-world.ts";

let world: SyncWorld;
eachTestInSyncWorld({ ldif: people(40) }, (fresh) => {
  world = fresh;
  return world.sync();
});

const names = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => `user${String(from + n).padStart(4, "0")}`);
const approve = (held: SyncRun) => world.sync({ trigger: "approval", approves: held });
const removed = async () =>
  (await world.users()).filter((user) => user.state === "removed").map((user) => user.username);

test("a run that would remove too many is held and changes nothing", async () => {
  await world.slapd.modify(deletions(names(0, 20)));
  await world.slapd.add(person("hired"));
  const before = await storedFacts(world);
  const run = await world.sync();
  expect(run).toMatchObject({ status: "held", counts: { removed: 20, added: 1 } });
  expect(run.holdReasons).toMatchObject([{ code: "too-many-removals" }]);
  expect(await storedFacts(world)).toEqual(before);
  const planned = await world.changes(run);
  expect(planned.filter((change) => change.action === "remove")).toHaveLength(20);
  const events = await world.database.db("audit_events").where({ action: "sync-hold" });
  expect(events).toMatchObject([{ outcome: "held", directory: "example" }]);
});

test("an empty listing is held although few users are stored", async () => {
  await world.slapd.modify(deletions(names(0, 40)));
  const run = await world.sync();
  expect(run.holdReasons).toMatchObject([{ code: "listing-empty" }]);
  expect(await removed()).toEqual([]);
});

test("approving takes a fresh listing and removes no one who was not in the approved plan", async () => {
  await world.slapd.modify(deletions(names(0, 20)));
  const held = await world.sync();
  // Since then one has come back, and others have left.
  await world.slapd.add(person("user0000"));
  await world.slapd.modify(deletions(names(30, 33)));
  const [back] = await world.slapd.search("(uid=user0000)", ["entryUUID"]);
  await world.database
    .db("users")
    .where({ username: "user0000" })
    .update({ directory_id: back?.attributes.entryUUID?.[0] });
  const run = await approve(held);
  expect(run).toMatchObject({ status: "succeeded", approves: held.id, counts: { removed: 19 } });
  expect(await removed()).toEqual(names(1, 20));
  expect(run.notes).toMatchObject([{ code: "removals-beyond-approval" }]);
  expect((await world.sync()).counts).toMatchObject({ removed: 3 });
});

test("a held run is approved once, by one of many who approve at once", async () => {
  await world.slapd.modify(deletions(names(0, 20)));
  const held = await world.sync();
  const answers = await Promise.allSettled([1, 2, 3].map(() => approve(held)));
  expect(answers.filter((answer) => answer.status === "fulfilled")).toHaveLength(1);
  await expect(approve(held)).rejects.toMatchObject({ code: "run-not-held" });
  const events = await world.database.db("audit_events").where({ action: "sync-approve" });
  expect(events).toHaveLength(1);
});

test("a run that was not held, and a dry run that would be, cannot be approved", async () => {
  const fine = await world.sync();
  await expect(approve(fine)).rejects.toMatchObject({ code: "run-not-held" });
  await world.slapd.modify(deletions(names(0, 20)));
  const dry = await world.sync({ dryRun: true });
  expect(dry).toMatchObject({ status: "held", dryRun: true });
  await expect(approve(dry)).rejects.toMatchObject({ code: "run-not-held" });
});

test("a directory restored from a backup, with known names under new ids, is held", async () => {
  world.directory.limits.removals = { count: 10, percent: 50 };
  await world.slapd.modify(deletions(names(0, 21)));
  await world.slapd.add(
    names(0, 21)
      .map((uid) => person(uid))
      .join(""),
  );
  const run = await world.sync();
  expect(run.status).toBe("held");
  expect(run.holdReasons.map((reason) => reason.code)).toContain("names-under-new-ids");
});

test("what was not approved is held again", async () => {
  await world.slapd.modify(deletions(names(0, 20)));
  const held = await world.sync();
  await world.slapd.modify(deletions(names(20, 40)));
  const run = await approve(held);
  expect(run).toMatchObject({ status: "held", holdReasons: [{ code: "listing-empty" }] });
  expect(await removed()).toEqual([]);
});
