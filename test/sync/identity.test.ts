// A user is its directory id (rules 1, 2, 3 and 8).

import { expect, test } from "vitest";
import { deletions, eachTestInSyncWorld, person, rename, type SyncWorld } from "../support/sync-world.ts";

let world: SyncWorld;
eachTestInSyncWorld({ ldif: ["anna", "ben", "cleo"].map((uid) => person(uid)).join("") }, (fresh) => {
  world = fresh;
  return world.sync();
});

const idsByName = async () =>
  Object.fromEntries((await world.users()).map((user) => [user.username, user.id]));

test("a rename keeps the user", async () => {
  const before = await idsByName();
  await world.slapd.modify(rename("anna", "anna.smith"));
  const run = await world.sync();
  expect(run.counts).toMatchObject({ changed: 1, added: 0, removed: 0 });
  expect((await idsByName())["anna.smith"]).toBe(before.anna);
  expect(await world.changes(run)).toMatchObject([{ reasons: ["username-changed", "moved"] }]);
});

test("a move to another branch keeps the user", async () => {
  const before = await idsByName();
  await world.slapd.add(
    "dn: ou=berlin,ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: berlin\n\n",
  );
  await world.slapd.modify(
    "dn: uid=ben,ou=people,dc=example,dc=org\nchangetype: modrdn\nnewrdn: uid=ben\ndeleteoldrdn: 1\nnewsuperior: ou=berlin,ou=people,dc=example,dc=org\n\n",
  );
  const run = await world.sync();
  expect((await world.changes(run)).map((change) => change.reasons)).toEqual([["moved"]]);
  expect(await idsByName()).toEqual(before);
});

test("two users who swap names in one run both keep theirs", async () => {
  const before = await idsByName();
  await world.slapd.modify(rename("anna", "temp") + rename("ben", "anna") + rename("temp", "ben"));
  const run = await world.sync();
  expect(run.counts).toMatchObject({ changed: 2, added: 0, removed: 0, skipped: 0 });
  expect(await idsByName()).toEqual({ anna: before.ben, ben: before.anna, cleo: before.cleo });
});

test("a chain of renames, each taking the name of the next, keeps everybody", async () => {
  const before = await idsByName();
  await world.slapd.modify(rename("cleo", "dora") + rename("ben", "cleo") + rename("anna", "ben"));
  await world.sync();
  expect(await idsByName()).toEqual({ ben: before.anna, cleo: before.ben, dora: before.cleo });
});

test("a change of case keeps the user and its name is found in any case", async () => {
  const before = await idsByName();
  await world.slapd.modify(
    "dn: uid=anna,ou=people,dc=example,dc=org\nchangetype: modrdn\nnewrdn: uid=ANNA\ndeleteoldrdn: 1\n\n",
  );
  const run = await world.sync();
  expect(run.counts).toMatchObject({ added: 0, removed: 0, skipped: 0 });
  expect((await world.user("aNnA")).id).toBe(before.anna);
});

test("an entry made anew under the old name is a new user and inherits nothing", async () => {
  const { db } = world.database;
  const before = await world.user("anna");
  await db("users").where({ id: before.id }).update({ required_by_admin: true });
  await world.slapd.modify(deletions(["anna"]));
  await world.slapd.add(person("anna"));
  world.mfa.requireForNewUsers = true;
  const run = await world.sync();
  expect(run.counts).toMatchObject({ added: 1, removed: 1 });
  const after = await world.user("anna");
  expect(after.id).not.toBe(before.id);
  expect(after).toMatchObject({ requiredByAdmin: null, requiredNewUser: true });
  expect((await world.users()).find((user) => user.id === before.id)).toMatchObject({ state: "removed" });
});

test("an entry that takes a stored user's name is skipped, and both DNs are reported", async () => {
  await world.slapd.add(person("anna", { rdn: "cn=impostor", cn: "impostor" }));
  const run = await world.sync();
  expect(run.counts).toMatchObject({ skipped: 1, added: 0, removed: 0, changed: 0 });
  const [skip] = await world.database.db("sync_skips").where({ run_id: run.id });
  expect(skip).toMatchObject({ reason: "username-clash", dn: "cn=impostor,ou=people,dc=example,dc=org" });
  expect(skip.detail).toContain("cn=impostor,ou=people,dc=example,dc=org");
  expect(skip.detail).toContain("uid=anna,ou=people,dc=example,dc=org");
  expect((await world.user("anna")).dn).toBe("uid=anna,ou=people,dc=example,dc=org");
});

test("a rename onto a name that is taken leaves both stored users as they are, and whoever waits for the old name too", async () => {
  const before = await world.users();
  await world.slapd.modify(
    "dn: uid=anna,ou=people,dc=example,dc=org\nchangetype: modrdn\nnewrdn: cn=anna\ndeleteoldrdn: 1\n\n" +
      "dn: cn=anna,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: uid\nuid: ben\n\n" +
      "dn: uid=cleo,ou=people,dc=example,dc=org\nchangetype: modrdn\nnewrdn: uid=anna\ndeleteoldrdn: 1\n\n",
  );
  const run = await world.sync();
  expect(run.counts).toMatchObject({ skipped: 2, changed: 0, removed: 0 });
  expect(await world.users()).toEqual(before);
});

test("of two new entries with one name neither is stored", async () => {
  await world.slapd.add(person("dora") + person("DORA", { rdn: "cn=second", cn: "second" }));
  const run = await world.sync();
  expect(run.counts).toMatchObject({ skipped: 2, added: 0 });
  expect(Object.keys(await idsByName())).toEqual(["anna", "ben", "cleo"]);
});

test("names that differ only before NFKC are one name", async () => {
  await world.slapd.add(
    person("\uff45\uff56\uff41", { rdn: "cn=wide", cn: "wide", mail: "wide@example.org" }),
  );
  await world.sync();
  expect((await world.user("eva")).username).toBe("\uff45\uff56\uff41");
  await world.slapd.add(person("eva"));
  const run = await world.sync();
  expect(run.counts).toMatchObject({ skipped: 1, added: 0 });
});

test("an unusable entry is skipped and reported, and the user that it belongs to stays", async () => {
  const before = await world.user("anna");
  // A username that turns invisible: the id is still there, the name is not usable.
  await world.slapd.modify(
    "dn: uid=anna,ou=people,dc=example,dc=org\nchangetype: modrdn\nnewrdn: cn=anna\ndeleteoldrdn: 1\n\n" +
      "dn: cn=anna,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: uid\nuid:: 4oCL\n\n",
  );
  const run = await world.sync();
  expect(run.counts).toMatchObject({ skipped: 1, removed: 0 });
  expect(await world.user("anna")).toEqual(before);
  const [skip] = await world.database.db("sync_skips").where({ run_id: run.id });
  expect(skip).toMatchObject({ dn: "cn=anna,ou=people,dc=example,dc=org", reason: "bad-username" });
});
