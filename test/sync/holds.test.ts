// Runs that are held, and what approving them does (rule 6).

import { expect, test } from "vitest";
import type { SyncRun } from "../../src/sync/sync-run.ts";
import {
  deletions,
  eachTestInSyncWorld,
  people,
  person,
  rename,
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

const codesOf = (run: SyncRun) => run.holdReasons.map((reason) => reason.code);
const renames = (uids: string[]) => uids.map((uid) => rename(uid, `new-${uid}`)).join("");
const titles = (uids: string[], title: string | null) =>
  uids
    .map((uid) => `dn: uid=${uid},ou=people,dc=example,dc=org\nchangetype: modify\nreplace: title\n`)
    .map((record) => `${record}${title === null ? "" : `title: ${title}\n`}\n`)
    .join("");

test("eight known names that come back under new ids are held: each would lose its authenticator", async () => {
  await world.slapd.modify(deletions(names(0, 8)));
  await world.slapd.add(
    names(0, 8)
      .map((uid) => person(uid))
      .join(""),
  );
  const run = await world.sync();
  expect(codesOf(run)).toEqual(["names-under-new-ids"]);
  expect(await removed()).toEqual([]);
});

test("names come back under new ids a few at a time, and a day after they went: that is held too", async () => {
  await world.slapd.modify(deletions(names(0, 6)));
  expect((await world.sync()).counts).toMatchObject({ removed: 6 });
  await world.slapd.add(
    names(0, 3)
      .map((uid) => person(uid))
      .join(""),
  );
  expect((await world.sync()).counts).toMatchObject({ added: 3 });
  await world.slapd.add(
    names(3, 6)
      .map((uid) => person(uid))
      .join(""),
  );
  const run = await world.sync();
  expect(codesOf(run)).toEqual(["names-under-new-ids"]);
});

test("everybody disabled is held, and so is everybody enabled again", async () => {
  world.directory.users.disabled = { kind: "attribute", attribute: "title", values: ["gone"] };
  await world.slapd.modify(titles(names(0, 40), "gone"));
  const held = await world.sync();
  expect(codesOf(held)).toEqual(["too-many-disables"]);
  expect(await approve(held)).toMatchObject({ status: "succeeded", counts: { disabled: 40 } });
  await world.slapd.modify(titles(names(0, 40), null));
  const enabling = await world.sync();
  expect(codesOf(enabling)).toEqual(["too-many-enables"]);
  expect(await approve(enabling)).toMatchObject({ status: "succeeded" });
  expect(await world.user("user0000")).toMatchObject({ state: "active" });
});

test("disabled users who are removed do not count among the active ones", async () => {
  world.directory.users.disabled = { kind: "attribute", attribute: "title", values: ["gone"] };
  await world.slapd.modify(titles(names(0, 20), "gone"));
  await approve(await world.sync());
  await world.slapd.modify(deletions(names(5, 21)));
  const { holdReasons } = await world.sync();
  expect(holdReasons.map(({ text }) => text)).toEqual([
    expect.stringMatching(/^The plan removes 16 of 40 users; /),
  ]);
});

test("every username changed is held; approving it covers the users of the plan and nobody else", async () => {
  await world.slapd.modify(renames(names(0, 20)));
  const held = await world.sync();
  expect(codesOf(held)).toEqual(["too-many-renames"]);
  await world.slapd.modify(renames(names(20, 40)));
  expect(codesOf(await approve(held))).toEqual(["too-many-renames"]);
  expect((await world.users()).filter((user) => user.username.startsWith("new-"))).toEqual([]);
  expect(await approve(await world.sync())).toMatchObject({ status: "succeeded" });
});

test("many small runs are held as one large one is, for a day", async () => {
  for (const from of [0, 5]) {
    await world.slapd.modify(deletions(names(from, from + 5)));
    expect(await world.sync()).toMatchObject({ status: "succeeded" });
  }
  await world.slapd.modify(deletions(names(10, 11)));
  const held = await world.sync();
  expect(codesOf(held)).toEqual(["too-many-removals"]);
  expect(held.holdReasons[0]?.text).toMatch(/removes 1 of 40 active users, after 10 in the last 24 hours/);
  // What removes nobody is not held for what went before.
  await world.slapd.add(person("user0010"));
  const { db } = world.database;
  await db("users")
    .where({ username: "user0010" })
    .update({ directory_id: await idOf("user0010") });
  await world.slapd.add(person("hired"));
  expect(await world.sync()).toMatchObject({ status: "succeeded", counts: { added: 1 } });
  await db("sync_runs").update({ finished_at: db.raw("finished_at - interval '1 day'") });
  await world.slapd.modify(deletions(names(10, 12)));
  expect(await world.sync()).toMatchObject({ status: "succeeded", counts: { removed: 2 } });
});

async function idOf(uid: string): Promise<string | undefined> {
  const [entry] = await world.slapd.search(`(uid=${uid})`, ["entryUUID"]);
  return entry?.attributes.entryUUID?.[0];
}

test("a base that falls to nothing is held although few users were in it", async () => {
  world.directory.users.bases = ["ou=people,dc=example,dc=org", "OU=Sub,dc=example,dc=org"];
  const sub = "dn: ou=sub,dc=example,dc=org\nobjectClass: organizationalUnit\nou: sub\n\n";
  await world.slapd.add(sub + person("inner", { ou: "ou=sub" }));
  expect((await world.sync()).counts).toMatchObject({ added: 1 });
  await world.slapd.modify("dn: uid=inner,ou=sub,dc=example,dc=org\nchangetype: delete\n\n");
  const held = await world.sync();
  expect(held.holdReasons).toMatchObject([{ code: "base-empty" }]);
  expect(held.holdReasons[0]?.text).toContain("OU=Sub,dc=example,dc=org");
  expect(await approve(held)).toMatchObject({ status: "succeeded", counts: { removed: 1 } });
});

test("a base whose last users left it for an entry that cannot be used has nobody, and the others of it are held", async () => {
  world.directory.users.bases = ["ou=people,dc=example,dc=org", "ou=sub,dc=example,dc=org"];
  const sub = "dn: ou=sub,dc=example,dc=org\nobjectClass: organizationalUnit\nou: sub\n\n";
  const inSub = (uid: string) => person(uid, { ou: "ou=sub", rdn: `cn=${uid}` });
  await world.slapd.add(sub + inSub("mover") + inSub("inner"));
  expect((await world.sync()).counts).toMatchObject({ added: 2 });
  await world.slapd.modify(
    "dn: cn=mover,ou=sub,dc=example,dc=org\nchangetype: modrdn\nnewrdn: cn=mover\ndeleteoldrdn: 0\n" +
      "newsuperior: ou=people,dc=example,dc=org\n\n" +
      "dn: cn=mover,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: uid\nuid: user0003\n\n" +
      "dn: cn=inner,ou=sub,dc=example,dc=org\nchangetype: delete\n\n",
  );
  const held = await world.sync();
  expect(held).toMatchObject({ status: "held", holdReasons: [{ code: "base-empty" }] });
  expect(await removed()).toEqual([]);
});
