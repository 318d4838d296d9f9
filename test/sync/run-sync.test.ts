// A sync run from listing to audit event: what it adds, changes, removes and restores (rules 5, 7, 9, 10 and 24).

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { deletions, eachTestInSyncWorld, people, person, type SyncWorld } from "../support/sync-world.ts";

let world: SyncWorld;
eachTestInSyncWorld({ ldif: people(120) }, (fresh) => {
  world = fresh;
  world.directory.limits.pageSize = 50;
});

test("the first run stores every entry of every page", async () => {
  const run = await world.sync();
  expect(run.error).toBeNull();
  expect(run.status).toBe("succeeded");
  expect(run.counts).toMatchObject({ listed: 120, added: 120, unchanged: 0, skipped: 0 });
  const users = await world.users();
  expect(users).toHaveLength(120);
  expect(users[7]).toMatchObject({
    username: "user0007",
    email: "user0007@example.org",
    displayName: "user0007",
    state: "active",
    directory: "example",
    dn: "uid=user0007,ou=people,dc=example,dc=org",
  });
});

test("a run in which nothing changed writes no user row", async () => {
  await world.sync();
  const rows = () => world.database.db.raw("select id, xmin::text, ctid::text from users order by id");
  const before = (await rows()).rows;
  const run = await world.sync();
  expect(run.counts).toMatchObject({ listed: 120, unchanged: 120, added: 0, changed: 0 });
  expect((await rows()).rows).toEqual(before);
  expect(await world.changes(run)).toEqual([]);
});

test("changed, hired and gone people are counted and named with their reasons", async () => {
  await world.sync();
  await world.slapd.modify(
    `dn: uid=user0001,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: mail\nmail: new@example.org\n\n` +
      deletions(["user0002"]),
  );
  await world.slapd.add(person("hired"));
  const run = await world.sync();
  expect(run.counts).toMatchObject({ listed: 120, unchanged: 118, added: 1, changed: 1, removed: 1 });
  const changes = await world.changes(run);
  const bits = changes.map(({ action, username, reasons }) => ({ action, username, reasons }));
  expect(bits).toHaveLength(3);
  expect(bits).toEqual(
    expect.arrayContaining([
      { action: "add", username: "hired", reasons: ["new-in-directory"] },
      { action: "change", username: "user0001", reasons: ["email-changed"] },
      { action: "remove", username: "user0002", reasons: ["not-in-directory"] },
    ]),
  );
  const changed = changes.find((change) => change.action === "change");
  expect(changed?.before).toMatchObject({ email: "user0001@example.org" });
  expect(changed?.after).toMatchObject({ email: "new@example.org" });
});

test("a user missing from the directory is removed, not deleted, and comes back with flags when listed again", async () => {
  const { db } = world.database;
  await world.sync();
  const before = await world.user("user0003");
  await db("users").where({ id: before.id }).update({ required_by_admin: true });
  const [entry] = await world.slapd.search("(uid=user0003)", ["entryUUID"]);
  await world.slapd.modify(deletions(["user0003"]));
  await world.sync();
  expect(await world.user("user0003")).toMatchObject({ id: before.id, state: "removed" });

  // The same entry comes back, as from a backup: OpenLDAP lets the root DN set entryUUID with the relax control.
  await db("users").where({ id: before.id }).update({ directory_id: "from-elsewhere" });
  await world.slapd.add(person("user0003"));
  const [again] = await world.slapd.search("(uid=user0003)", ["entryUUID"]);
  await db("users").where({ id: before.id }).update({ directory_id: again?.attributes.entryUUID?.[0] });
  expect(entry?.attributes.entryUUID).not.toEqual(again?.attributes.entryUUID);
  const run = await world.sync();
  expect(run.counts).toMatchObject({ restored: 1, added: 0 });
  expect(await world.user("user0003")).toMatchObject({
    id: before.id,
    state: "active",
    requiredByAdmin: true,
    removedAt: null,
  });
});

test("a dry run makes the same plan and changes nothing", async () => {
  await world.sync();
  await world.slapd.add(person("dryhire"));
  const dry = await world.sync({ dryRun: true });
  expect(dry).toMatchObject({ status: "succeeded", dryRun: true, counts: { added: 1 } });
  expect((await world.users()).map((user) => user.username)).not.toContain("dryhire");
  const planned = await world.changes(dry);
  expect(planned).toMatchObject([{ action: "add", username: "dryhire", userId: null }]);
  const real = await world.sync();
  expect((await world.changes(real)).map(({ action, directoryId }) => [action, directoryId])).toEqual(
    planned.map(({ action, directoryId }) => [action, directoryId]),
  );
});

test("every applied run is one audit event with the digest of its plan", async () => {
  const { db } = world.database;
  await world.sync();
  await world.slapd.add(person("audited"));
  const run = await world.sync();
  const [event] = await db("audit_events").where({ action: "sync-run" }).orderBy("id", "desc").limit(1);
  expect(event).toMatchObject({ actor: "test", via: "sync", directory: "example", outcome: "done" });
  expect(event.details).toMatchObject({ runId: run.id, planDigest: run.planDigest, added: 1 });
  expect(run.planDigest).toMatch(/^[0-9a-f]{64}$/);
});

test("no staging is left behind", async () => {
  for (const dryRun of [true, false]) {
    await world.sync({ dryRun });
    for (const table of ["staged_pages", "staged_entries", "staged_groups", "staged_memberships"]) {
      expect(await world.database.db(table)).toEqual([]);
    }
  }
});

test("staging that a run could not take with it, since the database went away, goes with the next run", async () => {
  const { db } = world.database;
  const failed = await world.sync();
  await db("staged_pages").insert({ run_id: failed.id, number: 0, unchanged_ids: [], of_groups: false });
  await db("staged_group_members").insert({
    run_id: randomUUID(),
    group_directory_id: "x",
    member_key: "y",
    joins: true,
  });
  await world.sync();
  expect(await db("staged_pages")).toEqual([]);
  expect(await db("staged_group_members")).toEqual([]);
});

test("parts of the directory on other servers are named by the run", async () => {
  await world.slapd.add(
    "dn: ou=elsewhere,ou=people,dc=example,dc=org\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\n" +
      "ref: ldap://other.example.org/ou=people,dc=other\n\n",
  );
  const run = await world.sync();
  expect(run).toMatchObject({ status: "succeeded", notes: [{ code: "parts-elsewhere" }] });
  expect(run.notes[0]?.text).toContain("ldap://other.example.org/ou=people,dc=other");
});

test("two runs at once are one run", async () => {
  // Silent, so that the one that is first goes on for as long as it takes to ask for the other.
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket)).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const address = silent.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const { urls } = world.directory;
  world.directory.urls = [`ldap://127.0.0.1:${address.port}`];
  const [first, second] = await Promise.all([world.start(), world.start()]);
  const kinds = [first.kind, second.kind].sort();
  expect(kinds).toEqual(["already-running", "started"]);
  expect(first.run.id).toBe(second.run.id);
  world.directory.urls = urls;
  silent.close();
  for (const socket of sockets) socket.destroy();
  for (const started of [first, second]) if (started.kind === "started") await started.finished;
});
