// Groups and who is in them, and requirements that come from them (rule 11).

import { expect, test } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { decideRequirement } from "../../src/users/policy.ts";
import { eachTestInSyncWorld, person, rename, type SyncWorld } from "../support/sync-world.ts";

const dnOf = (uid: string) => `uid=${uid},ou=people,dc=example,dc=org`;
const groupDn = (cn: string) => `cn=${cn},ou=groups,dc=example,dc=org`;
const group = (cn: string, ...members: string[]) =>
  ldifEntry(groupDn(cn), [
    ["objectClass", "groupOfNames"],
    ["cn", cn],
    ...members.map((dn) => ["member", dn] as const),
  ]);

let world: SyncWorld;
eachTestInSyncWorld(
  {
    ldif:
      ["anna", "ben", "cleo"].map((uid) => person(uid)).join("") +
      group("outer", groupDn("inner"), dnOf("anna")) +
      group("inner", dnOf("ben"), groupDn("outer")) +
      group("alone", dnOf("cleo"), "uid=nobody,ou=people,dc=example,dc=org"),
  },
  (fresh) => {
    world = fresh;
  },
);

const groupsOf = async (username: string) => (await world.user(username)).groups.map((one) => one.name);
const modify = (dn: string, change: string) =>
  world.slapd.modify(`dn: ${dn}\nchangetype: modify\n${change}\n\n`);

test("nested groups are resolved, and a cycle of groups ends", async () => {
  await world.sync();
  expect(await groupsOf("anna")).toEqual(["inner", "outer"]);
  expect(await groupsOf("ben")).toEqual(["inner", "outer"]);
  expect(await groupsOf("cleo")).toEqual(["alone"]);
});

test("without nesting a group holds whom it lists", async () => {
  if (world.directory.groups) world.directory.groups.nested = false;
  await world.sync();
  expect(await groupsOf("ben")).toEqual(["inner"]);
});

test("joining and leaving a group is a change with the groups' names", async () => {
  await world.sync();
  await modify(groupDn("alone"), `add: member\nmember: ${dnOf("anna")}`);
  await modify(groupDn("inner"), `delete: member\nmember: ${dnOf("ben")}`);
  const run = await world.sync();
  const changes = Object.fromEntries((await world.changes(run)).map((change) => [change.username, change]));
  expect(changes.anna).toMatchObject({ reasons: ["groups-changed"], after: { groupsJoined: ["alone"] } });
  expect(changes.ben).toMatchObject({
    reasons: ["groups-changed"],
    before: { groupsLeft: ["inner", "outer"] },
  });
  expect(await groupsOf("ben")).toEqual([]);
});

test("a run in which no group changed writes no membership", async () => {
  await world.sync();
  const rows = () => world.database.db.raw("select xmin::text, ctid::text from user_groups order by 1, 2");
  const before = (await rows()).rows;
  await world.sync();
  expect((await rows()).rows).toEqual(before);
});

test("a group that loses a member keeps the rows of all the others (rule 28)", async () => {
  await world.sync();
  const rows = (table: string) =>
    world.database.db.raw(`select t.*, xmin::text, ctid::text from ${table} t order by 1, 2`);
  const before = [(await rows("group_members")).rows, (await rows("user_groups")).rows];
  await modify(groupDn("inner"), `delete: member\nmember: ${dnOf("ben")}`);
  await world.sync();
  const after = [(await rows("group_members")).rows, (await rows("user_groups")).rows];
  expect(before.map((all) => all.length)).toEqual([6, 5]);
  expect(after.map((all) => all.length)).toEqual([5, 3]);
  for (const [table, all] of after.entries()) expect(before[table]).toEqual(expect.arrayContaining(all));
});

test("a group that lies below two bases, and so is listed twice, has the members that it lists", async () => {
  if (world.directory.groups)
    world.directory.groups.bases = ["ou=groups,dc=example,dc=org", "dc=example,dc=org"];
  await world.sync();
  await modify(groupDn("alone"), `replace: member\nmember: ${dnOf("anna")}\nmember: ${dnOf("ben")}`);
  expect(await world.sync()).toMatchObject({ error: null, counts: { changed: 3 } });
  expect(await groupsOf("anna")).toEqual(["alone", "inner", "outer"]);
  expect(await groupsOf("cleo")).toEqual([]);
  expect((await world.sync()).counts).toMatchObject({ unchanged: 3, changed: 0 });
});

test("a renamed member is in the group that names it anew, and out of one that does not", async () => {
  await world.sync();
  await world.slapd.modify(rename("cleo", "clio"));
  await world.sync();
  expect(await groupsOf("clio")).toEqual([]); // no referential integrity in this server: the group is stale
  await modify(groupDn("alone"), `add: member\nmember: ${dnOf("clio")}`);
  await world.sync();
  expect(await groupsOf("clio")).toEqual(["alone"]);
});

test("a new user listed in a group that has not changed is in it", async () => {
  await world.sync();
  await world.slapd.add(person("nobody"));
  await world.sync();
  expect(await groupsOf("nobody")).toEqual(["alone"]);
});

test("posixGroup members are found by username", async () => {
  await world.slapd.add(
    ldifEntry(groupDn("unix"), [
      ["objectClass", "posixGroup"],
      ["cn", "unix"],
      ["gidNumber", "500"],
      ["memberUid", "Anna"],
      ["memberUid", "nobody"],
    ]),
  );
  await world.sync();
  expect(await groupsOf("anna")).toEqual(["inner", "outer", "unix"]);
});

test("MFA required for a group begins with joining it and ends with leaving", async () => {
  Object.assign(world.mfa, { requireForGroups: ["ALONE", groupDn("inner")], enrollmentGraceMs: 60_000 });
  const requirement = async (name: string) => decideRequirement(await world.user(name));
  await world.sync();
  expect((await requirement("cleo")).requiredBy).toEqual(["required-by-group:alone"]);
  expect((await requirement("anna")).requiredBy).toEqual(["required-by-group:inner"]);
  expect((await world.user("cleo")).requiredSince).toBeInstanceOf(Date);
  await modify(groupDn("alone"), `delete: member\nmember: ${dnOf("cleo")}`);
  await world.sync();
  expect(await requirement("cleo")).toMatchObject({ required: false, deadline: null });
  expect((await world.user("cleo")).requiredSince).toBeNull();
});

test("a group listing that is suddenly empty is held", async () => {
  await world.sync();
  await world.slapd.modify(
    ["outer", "inner", "alone"].map((cn) => `dn: ${groupDn(cn)}\nchangetype: delete\n\n`).join(""),
  );
  const run = await world.sync();
  expect(run).toMatchObject({ status: "held", holdReasons: [{ code: "group-listing-empty" }] });
  expect(await groupsOf("cleo")).toEqual(["alone"]);
});
