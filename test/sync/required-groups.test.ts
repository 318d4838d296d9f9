// Rule 27: a requirement that comes from a group ends because somebody decided so, and never because a group could not be read.

import { pino } from "pino";
import { beforeEach, describe, expect, test } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import type { MfaConfig } from "../../src/config/config.ts";
import { startSync } from "../../src/sync/start-sync.ts";
import type { SyncRun } from "../../src/sync/sync-run.ts";
import { applyPolicy } from "../../src/users/apply-policy.ts";
import { decideRequirement, mfaPolicyOf } from "../../src/users/policy.ts";
import { listGroupsNotFound } from "../../src/users/policy-table.ts";
import { eachTestInSyncWorld, people, person, type SyncWorld } from "../support/sync-world.ts";

const dnOf = (uid: string) => `uid=${uid},ou=people,dc=example,dc=org`;
const groupDn = (cn: string) => `cn=${cn},ou=groups,dc=example,dc=org`;
const uids = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => `user${String(from + n).padStart(4, "0")}`);
// A posixGroup may have no member at all, as a group of Active Directory.
const group = (cn: string, members: string[]) =>
  ldifEntry(groupDn(cn), [
    ["objectClass", "posixGroup"],
    ["cn", cn],
    ["gidNumber", "500"],
    ...members.map((uid) => ["memberUid", uid] as const),
  ]);

let world: SyncWorld;
eachTestInSyncWorld(
  { ldif: people(40) + group("vpn", uids(0, 20)) + group("admins", uids(18, 22)) },
  (fresh) => {
    world = fresh;
  },
);
beforeEach(async () => {
  Object.assign(world.mfa, { requireForGroups: ["vpn", groupDn("admins")], enrollmentGraceMs: 3_600_000 });
  await world.sync();
});

const modify = (cn: string, change: string) =>
  world.slapd.modify(`dn: ${groupDn(cn)}\nchangetype: modify\n${change}\n\n`);
const leave = (cn: string, members: string[]) =>
  modify(cn, `delete: memberUid\n${members.map((uid) => `memberUid: ${uid}`).join("\n")}`);
const codesOf = (run: SyncRun) => [run.status, ...run.holdReasons.map(({ code }) => code)];
const approve = (held: SyncRun) => world.sync({ trigger: "approval", approves: held });
const requiredUsers = async () =>
  (await world.users()).filter((user) => decideRequirement(user).required).map(({ username }) => username);
const ends = async () =>
  (await world.database.db("audit_events").where({ action: "requirement-end" }).orderBy("id")).map(
    ({ actor, via, details }) => [details.username, details.by, actor, via],
  );
const endedByRuns = async () =>
  (await ends()).filter(([, by]) => by === "sync-run").map(([username]) => username);
/** A daemon starts with this configuration. */
const restart = (mfa: Partial<MfaConfig> = {}) => {
  Object.assign(world.mfa, mfa);
  const policy = mfaPolicyOf(world.mfa);
  const deps = { db: world.database.db, policy, directories: world.directories };
  return applyPolicy(deps, { name: "dirmfa", via: "daemon" });
};

test("a required group whose members cannot be read is held, and nobody's requirement ends", async () => {
  await modify("vpn", "delete: memberUid");
  const run = await world.sync();
  expect(codesOf(run)).toEqual(["held", "too-many-requirement-ends", "required-group-lost"]);
  expect(run.holdReasons[0]?.text).toContain("ends the MFA requirement of 18 of 22 required users");
  expect(await requiredUsers()).toEqual(uids(0, 22));
  expect(await ends()).toEqual([]);
});

test("a small required group that is gone is held as well, however few it had", async () => {
  await world.slapd.modify(`dn: ${groupDn("admins")}\nchangetype: delete\n\n`);
  const held = await world.sync();
  expect(codesOf(held)).toEqual(["held", "required-group-lost"]);
  expect(await requiredUsers()).toEqual(uids(0, 22));
  // Approving one lost group says nothing about another.
  await world.slapd.modify(`dn: ${groupDn("vpn")}\nchangetype: delete\n\n`);
  await world.slapd.add(group("other", ["user0039"]));
  const again = await approve(held);
  expect(codesOf(again)).toEqual(["held", "too-many-requirement-ends", "required-group-lost"]);
  expect(codesOf(await approve(again))).toEqual(["held", "required-group-lost"]);
});

test("a required group that is made anew under its name, and lists nobody, is held as one that is gone", async () => {
  await world.slapd.modify(`dn: ${groupDn("admins")}\nchangetype: delete\n\n`);
  await world.slapd.add(group("admins", []));
  expect(codesOf(await world.sync())).toEqual(["held", "required-group-lost"]);
  expect(await requiredUsers()).toEqual(uids(0, 22));
  await modify("admins", "add: memberUid\nmemberUid: user0019\nmemberUid: user0020\nmemberUid: user0021");
  expect(codesOf(await world.sync())).toEqual(["succeeded"]);
  expect(await requiredUsers()).toEqual(uids(0, 22));
  expect(await ends()).toEqual([]);
});

test("a required group in whose place another one has all but one of its members is held: it may only be hidden", async () => {
  await world.slapd.modify(`dn: ${groupDn("admins")}\nchangetype: delete\n\n`);
  await world.slapd.add(group("admins", ["user0018", "user0019", "user0020"]));
  const held = await world.sync();
  expect(codesOf(held)).toEqual(["held", "required-group-lost"]);
  expect(held.holdReasons[0]?.text).toContain("the group in its place does not have all of its members");
  expect(await ends()).toEqual([]);
  expect(codesOf(await approve(held))).toEqual(["succeeded"]);
  expect((await ends()).map(([username]) => username)).toEqual(["user0021"]);
});

test("an approved loss of a group ends the requirement of those in the approved plan, and of nobody else", async () => {
  await world.slapd.modify(`dn: ${groupDn("admins")}\nchangetype: delete\n\n`);
  await world.slapd.add(group("admins", ["user0018", "user0019", "user0020"]));
  const held = await world.sync();
  await leave("admins", ["user0020"]);
  const again = await approve(held);
  expect(codesOf(again)).toEqual(["held", "required-group-lost"]);
  expect(await ends()).toEqual([]);
  expect(codesOf(await approve(again))).toEqual(["succeeded"]);
  expect((await ends()).map(([username]) => username).sort()).toEqual(["user0020", "user0021"]);
});

describe("a group in a required one, at whatever depth", () => {
  const nested = (cn: string, members: string[]) =>
    ldifEntry(groupDn(cn), [
      ["objectClass", "groupOfNames"],
      ["cn", cn],
      ...members.map((dn) => ["member", dn] as const),
    ]);
  // Ten deep, with the requirement at the top, and a cycle below it.
  beforeEach(async () => {
    const chain = Array.from({ length: 9 }, (_, n) =>
      nested(`level${n}`, [groupDn(`level${n + 1}`), ...(n === 8 ? [groupDn("level3")] : [])]),
    );
    await world.slapd.add(chain.join("") + group("level9", uids(30, 35)));
    await restart({ requireForGroups: ["level0"] });
    await world.sync();
    expect(await requiredUsers()).toEqual(uids(30, 35));
  });

  test.each(["level5", "level9"])(
    "that is gone is held, however few had their requirement by it: %s",
    async (cn) => {
      await world.slapd.modify(`dn: ${groupDn(cn)}\nchangetype: delete\n\n`);
      const held = await world.sync();
      expect(codesOf(held)).toEqual(["held", "required-group-lost"]);
      expect(held.holdReasons[0]?.text).toContain(
        `The group ${cn} (${groupDn(cn)}), which is in a group for which MFA is required, is not`,
      );
      expect(await requiredUsers()).toEqual(uids(30, 35));
      expect(await endedByRuns()).toEqual([]);
      expect(codesOf(await approve(held))).toEqual(["succeeded"]);
      expect(await requiredUsers()).toEqual([]);
    },
  );

  test("that goes in a run which does not tell whether a member of it is still there is held", async () => {
    world.directory.limits.confirmRemovals = 2;
    world.directory.users.filter = "(&(objectClass=inetOrgPerson)(!(uid=user0034)))";
    await world.slapd.modify(`dn: ${groupDn("level9")}\nchangetype: delete\n\n`);
    await world.slapd.add(group("elsewhere", uids(30, 34)));
    await world.slapd.modify(
      `dn: ${groupDn("level8")}\nchangetype: modify\nadd: member\nmember: ${groupDn("elsewhere")}\n\n`,
    );
    expect(codesOf(await world.sync())).toEqual(["held", "required-group-lost"]);
    expect(await requiredUsers()).toEqual(uids(30, 35));
  });

  test("whose members cannot be read is held as well", async () => {
    await modify("level9", "delete: memberUid");
    expect(codesOf(await world.sync())).toEqual(["held", "required-group-lost"]);
    expect(await endedByRuns()).toEqual([]);
  });

  test("that is not in the required one when it goes holds nothing", async () => {
    await world.slapd.add(nested("project", uids(30, 32).map(dnOf)));
    await world.sync();
    await world.slapd.modify(`dn: ${groupDn("project")}\nchangetype: delete\n\n`);
    await leave("level9", ["user0030"]);
    expect(codesOf(await world.sync())).toEqual(["succeeded"]);
    expect(await endedByRuns()).toEqual(["user0030"]);
  });
});

test("an approved end is carried out, with an audit event for each user whose requirement ends", async () => {
  await leave("vpn", uids(0, 19));
  const held = await world.sync();
  expect(codesOf(held)).toEqual(["held", "too-many-requirement-ends"]);
  const changes = await world.changes(held);
  expect(changes.filter(({ reasons }) => reasons.includes("requirement-ended"))).toHaveLength(18);
  expect(codesOf(await approve(held))).toEqual(["succeeded"]);
  expect(await requiredUsers()).toEqual(uids(18, 22));
  const ended = await ends();
  expect(ended.map(([username]) => username).sort()).toEqual(uids(0, 18));
  expect(ended[0]?.slice(1)).toEqual(["sync-run", "test", "sync"]);
});

test("users who come back without their required group are held as those who leave it", async () => {
  const { filter } = world.directory.users;
  world.directory.users.filter = "(&(objectClass=inetOrgPerson)(!(uid=user000*))(!(uid=user001*)))";
  expect((await approve(await world.sync())).counts).toMatchObject({ removed: 20 });
  await leave("vpn", uids(0, 17));
  expect(codesOf(await world.sync())).toEqual(["succeeded"]);
  world.directory.users.filter = filter;
  expect(codesOf(await world.sync())).toEqual(["held", "too-many-requirement-ends"]);
  expect(await ends()).toEqual([]);
});

test("a requirement that ends with a return, since the policy was changed meanwhile, is in the plan as well", async () => {
  const { filter } = world.directory.users;
  world.directory.users.filter = "(&(objectClass=inetOrgPerson)(!(uid=user000*))(!(uid=user001*)))";
  await approve(await world.sync());
  await restart({ requireForGroups: [] });
  world.directory.users.filter = filter;
  const held = await world.sync();
  expect(codesOf(held)).toEqual(["held", "too-many-requirement-ends"]);
  expect(codesOf(await approve(held))).toEqual(["succeeded"]);
  const told = (await ends()).filter(([, by]) => by === "sync-run");
  expect(told.map(([username]) => username).sort()).toEqual(uids(0, 20));
});

test("many small runs end no more requirements in a day than one may", async () => {
  const statuses: string[] = [];
  for (let n = 0; n < 18; n += 4) {
    await leave("vpn", uids(n, Math.min(n + 4, 18)));
    statuses.push((await world.sync()).status);
  }
  expect(statuses).toEqual(["succeeded", "succeeded", "held", "held", "held"]);
  expect(await requiredUsers()).toHaveLength(14);
});

test("a required group is followed by its id through a rename and a move", async () => {
  await world.slapd.modify(
    `dn: ${groupDn("vpn")}\nchangetype: modrdn\nnewrdn: cn=remote access\ndeleteoldrdn: 1\n\n` +
      `dn: ${groupDn("admins")}\nchangetype: modrdn\nnewrdn: cn=operators\ndeleteoldrdn: 1\n\n`,
  );
  const run = await world.sync();
  expect(codesOf(run)).toEqual(["succeeded"]);
  expect(await requiredUsers()).toEqual(uids(0, 22));
  expect(decideRequirement(await world.user("user0000")).requiredBy).toEqual([
    "required-by-group:remote access",
  ]);
  // Until an admin takes the name out of the policy.
  await restart({ requireForGroups: [groupDn("admins")] });
  expect(await requiredUsers()).toEqual(uids(18, 22));
  await restart({ requireForGroups: [] });
  // One statement ends them all, in no order.
  const last = (await ends()).slice(-4);
  expect(last.map(([username, by]) => `${username}: ${by}`).sort()).toEqual(
    uids(18, 22).map((uid) => `${uid}: policy-change`),
  );
});

test("who stays in a group that gets the name of a required one, and leaves another, keeps the requirement", async () => {
  await world.slapd.add(group("staff", uids(0, 18)));
  await restart({ requireForGroups: ["vpn", groupDn("admins"), "remote"] });
  await world.sync();
  await world.slapd.modify(
    `dn: ${groupDn("staff")}\nchangetype: modrdn\nnewrdn: cn=remote\ndeleteoldrdn: 1\n\n`,
  );
  await leave("vpn", uids(0, 18));
  const run = await world.sync();
  expect(codesOf(run)).toEqual(["succeeded"]);
  const planned = (await world.changes(run)).map(({ reasons }) => reasons);
  expect(planned.filter((reasons) => reasons.includes("requirement-ended"))).toEqual([]);
  expect(await requiredUsers()).toEqual(uids(0, 22));
  expect(await ends()).toEqual([]);
});

test("a listing of another server adds memberships and ends none, and the next one of the same server ends them", async () => {
  const { db } = world.database;
  await leave("vpn", ["user0000"]);
  await modify("admins", "add: memberUid\nmemberUid: user0030");
  await world.slapd.modify(rdn("user0001", "married"));
  await db("directories").update({ server_identity: "another" });
  expect(codesOf(await world.sync())).toEqual(["succeeded"]);
  expect(await requiredUsers()).toEqual(["married", ...uids(0, 1), ...uids(2, 22), "user0030"]);
  expect(codesOf(await world.sync())).toEqual(["succeeded"]);
  expect(await requiredUsers()).toEqual([...uids(2, 22), "user0030"]);
  const rows = () => db.raw("select xmin::text, ctid::text from user_groups order by 1, 2");
  const before = (await rows()).rows;
  expect((await world.sync()).counts).toMatchObject({ unchanged: 40, changed: 0 });
  expect((await rows()).rows).toEqual(before);
});
const rdn = (from: string, to: string) =>
  `dn: ${dnOf(from)}\nchangetype: modrdn\nnewrdn: uid=${to}\ndeleteoldrdn: 1\n\n`;

test("another server that shows no group takes nobody's requirement", async () => {
  const { db } = world.database;
  await db("directories").update({ server_identity: "another" });
  await world.slapd.modify(
    ["vpn", "admins"].map((cn) => `dn: ${groupDn(cn)}\nchangetype: delete\n\n`).join(""),
  );
  await world.slapd.add(group("lonely", ["user0039"]));
  expect(codesOf(await world.sync())).toEqual(["succeeded"]);
  expect(await requiredUsers()).toEqual(uids(0, 22));
  expect((await world.sync()).status).toBe("held");
});

test("a group that no run has found is told, until one finds it", async () => {
  await restart({ requireForGroups: ["vpn", "vpm"] });
  expect(await listGroupsNotFound(world.database.db)).toEqual(["name:vpm"]);
  await world.slapd.add(group("vpm", ["user0035"]));
  await world.sync();
  expect(await listGroupsNotFound(world.database.db)).toEqual([]);
  expect((await world.user("user0035")).requiredSince).toBeInstanceOf(Date);
});

test("a run of a process with another configuration ends nothing, and keeps the deadlines", async () => {
  const before = (await world.users()).map(({ username, enrollmentDeadline }) => [
    username,
    enrollmentDeadline,
  ]);
  const { db } = world.database;
  await leave("vpn", ["user0000"]);
  const stale = mfaPolicyOf({ ...world.mfa, requireForGroups: [], enrollmentGraceMs: 0 });
  const started = await startSync(
    { db, log: silent, policy: stale, directories: world.directories, holder: "stale" },
    {
      directory: world.directory,
      trigger: "request",
      actor,
      dryRun: false,
      signal: new AbortController().signal,
    },
  );
  if (started.kind !== "started") throw new Error(started.kind);
  expect(codesOf(await started.finished)).toEqual(["succeeded"]);
  expect((await ends()).map(([username]) => username)).toEqual(["user0000"]);
  const after = (await world.users()).map(({ username, enrollmentDeadline }) => [
    username,
    enrollmentDeadline,
  ]);
  expect(after.slice(1)).toEqual(before.slice(1));
});
const actor = { name: "test", via: "sync" } as const;
const silent = pino({ level: "silent" });

test("a group gives its grace once: who leaves it and joins it again has the deadline of the first time", async () => {
  const deadline = async () => (await world.user("user0000")).enrollmentDeadline;
  const first = await deadline();
  await leave("vpn", ["user0000"]);
  await world.sync();
  expect(await deadline()).toBeNull();
  await modify("vpn", "add: memberUid\nmemberUid: user0000");
  await world.sync();
  expect(await deadline()).toEqual(first);
  // Nor does a policy that goes and comes back.
  await restart({ requireForGroups: [] });
  expect(await deadline()).toBeNull();
  await restart({ requireForGroups: ["vpn"], enrollmentGraceMs: 7_200_000 });
  expect(await deadline()).toEqual(first);
  // Another reason gives another grace.
  await restart({ requireForGroups: [] });
  await restart({ mode: "required" });
  expect((await deadline())?.getTime()).toBeGreaterThan((first?.getTime() ?? 0) + 3_000_000);
});

test("a change of nesting is followed by the next run, though nothing else has changed", async () => {
  await world.slapd.add(
    ldifEntry(groupDn("outer"), [
      ["objectClass", "groupOfNames"],
      ["cn", "outer"],
      ["member", groupDn("vpn")],
    ]),
  );
  await world.sync();
  const groupsOf = async () => (await world.user("user0000")).groups.map(({ name }) => name);
  expect(await groupsOf()).toEqual(["outer", "vpn"]);
  if (world.directory.groups) world.directory.groups.nested = false;
  expect((await world.sync()).counts).toMatchObject({ unchanged: 20, changed: 20 });
  expect(await groupsOf()).toEqual(["vpn"]);
  if (world.directory.groups) world.directory.groups.nested = true;
  await world.sync();
  expect(await groupsOf()).toEqual(["outer", "vpn"]);
});

test("a plan says how many will be stopped at their next sign-in, and why", async () => {
  await restart({ enrollmentGraceMs: 0, requireForNewUsers: true });
  await world.slapd.add(person("hired") + person("temp"));
  await modify("vpn", "add: memberUid\nmemberUid: user0030\nmemberUid: hired");
  const run = await world.sync({ dryRun: true });
  expect(run.notes).toEqual([
    {
      code: "enrollment-required",
      text: "3 of them will be stopped at their next sign-in until they enroll: MFA is required for new users (2), for a group (2).",
    },
  ]);
  await restart({ enrollmentGraceMs: 60_000 });
  const [note] = (await world.sync({ dryRun: true })).notes;
  expect(note?.text).toMatch(
    /^3 of them will be asked to enroll at their next sign-in, and stopped there once/,
  );
  expect((await world.sync()).notes).toEqual([note]);
  expect((await world.sync()).notes).toEqual([]);
});

test("who has an authenticator, or is required already, is not among those whom a plan says it will stop", async () => {
  await enroll("user0030");
  await modify("vpn", "add: memberUid\nmemberUid: user0020\nmemberUid: user0030\nmemberUid: user0031");
  const { notes } = await world.sync({ dryRun: true });
  expect(notes).toEqual([
    {
      code: "enrollment-required",
      text: expect.stringMatching(/^1 of them will .*: MFA is required for a group \(1\)\.$/),
    },
  ]);
});

async function enroll(username: string): Promise<void> {
  const { db } = world.database;
  await db("sealing_keys").insert({ id: "some", state: "active", check_value: Buffer.alloc(32) });
  const { id } = await world.user(username);
  const sealed = { key_id: "some", sealed: Buffer.from("sealed"), last_step: 0 };
  await db("authenticators").insert({ user_id: id, state: "active", ...sealed, confirmed_at: new Date() });
}
