// Rule 25: an incremental run reads again what the server says has changed, adds and changes, removes nobody, and becomes a full one
// where that cannot be told.

import { expect, test } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { directoryConfigFor, startSlapd } from "../../scripts/servers/slapd.ts";
import { AppError } from "../../src/errors.ts";
import { findMark } from "../../src/sync/marks-table.ts";
import type { SyncRun } from "../../src/sync/sync-run.ts";
import { findRun } from "../../src/sync/sync-runs-table.ts";
import { decideRequirement } from "../../src/users/policy.ts";
import {
  deletions,
  eachTestInSyncWorld,
  people,
  person,
  rename,
  type SyncWorld,
  storedFacts,
} from "../support/sync-world.ts";

const dnOf = (uid: string, ou = "ou=people") => `uid=${uid},${ou},dc=example,dc=org`;
const groupDn = (cn: string) => `cn=${cn},ou=groups,dc=example,dc=org`;
const group = (cn: string, members: string[]) =>
  ldifEntry(groupDn(cn), [
    ["objectClass", "groupOfNames"],
    ["cn", cn],
    ...members.map((dn) => ["member", dn] as const),
  ]);
const add = (ldif: string) => ldif.replace(/^(dn: .*)$/gm, "$1\nchangetype: add");
const modify = (dn: string, change: string) => `dn: ${dn}\nchangetype: modify\n${change}\n\n`;
const mail = (uid: string, to: string) => modify(dnOf(uid), `replace: mail\nmail: ${to}@example.org`);

const ldif = people(30) + group("staff", [dnOf("user0000"), dnOf("future")]);
let world: SyncWorld;
eachTestInSyncWorld({ overlays: ["syncprov"], ldif }, async (fresh) => {
  world = fresh;
  expect((await world.sync()).counts).toMatchObject({ added: 30 });
});

const incremental = (request: Parameters<SyncWorld["sync"]>[0] = {}) =>
  world.sync({ kind: "incremental", ...request });
/** Why a run became a full one. */
const reasonOf = (run: SyncRun) => {
  expect(run).toMatchObject({ kind: "full", status: "succeeded" });
  const note = run.notes.find(({ code }) => code === "ended-in-full-run");
  return /\(([a-z-]+)\)\.$/.exec(note?.text ?? "")?.[1];
};
const nothing = { added: 0, changed: 0, restored: 0, disabled: 0, removed: 0 };

test("who is hired, changed, disabled or renamed is stored by an incremental run, which reads nobody else", async () => {
  world.directory.users.disabled = { kind: "attribute", attribute: "employeeType", values: ["gone"] };
  await world.sync();
  await world.slapd.modify(
    add(person("fresh")) +
      mail("user0001", "new") +
      rename("user0002", "renamed") +
      modify(dnOf("user0003"), "add: employeeType\nemployeeType: gone"),
  );
  const { id } = await world.user("user0002");
  const run = await incremental();
  expect(run).toMatchObject({ kind: "incremental", status: "succeeded", notes: [] });
  expect(run.counts).toEqual({
    ...nothing,
    listed: 4,
    unchanged: 0,
    added: 1,
    changed: 2,
    disabled: 1,
    skipped: 0,
  });
  expect(await world.user("fresh")).toMatchObject({ state: "active" });
  expect(await world.user("user0001")).toMatchObject({ email: "new@example.org" });
  expect(await world.user("renamed")).toMatchObject({ id, dn: dnOf("renamed") });
  expect(await world.user("user0003")).toMatchObject({ state: "disabled" });
  const changes = await world.changes(run);
  expect(changes.map(({ username, reasons }) => [username, reasons]).sort()).toEqual([
    ["fresh", ["new-in-directory"]],
    ["renamed", ["username-changed", "moved"]],
    ["user0001", ["email-changed"]],
    ["user0003", ["disabled-in-directory"]],
  ]);
  expect(
    await world.database
      .db("audit_events")
      .where({ action: "sync-run" })
      .orderBy("id", "desc")
      .first("details"),
  ).toMatchObject({ details: { runId: run.id, kind: "incremental", added: 1, planDigest: run.planDigest } });
});

test("a run after which nothing has changed reads nobody and writes no user", async () => {
  const before = await storedFacts(world);
  expect(await incremental()).toMatchObject({ kind: "incremental", counts: { listed: 0, ...nothing } });
  await world.slapd.modify(mail("user0001", "new"));
  expect(await incremental()).toMatchObject({ kind: "incremental", counts: { listed: 1, changed: 1 } });
  const after = await storedFacts(world);
  expect(await incremental()).toMatchObject({ kind: "incremental", counts: { listed: 0, ...nothing } });
  expect(await storedFacts(world)).toEqual(after);
  expect(after).not.toEqual(before);
});

test("two users who swap names both keep theirs", async () => {
  const [first, second] = [await world.user("user0001"), await world.user("user0002")];
  await world.slapd.modify(
    rename("user0001", "between") + rename("user0002", "user0001") + rename("between", "user0002"),
  );
  expect(await incremental()).toMatchObject({ kind: "incremental", counts: { changed: 2 } });
  expect((await world.user("user0001")).id).toBe(second.id);
  expect((await world.user("user0002")).id).toBe(first.id);
});

test("who is deleted, or leaves filter or base, stays until the full run, which removes them", async () => {
  world.directory.users.filter = "(&(objectClass=inetOrgPerson)(!(employeeType=guest)))";
  await world.sync();
  await world.slapd.modify(
    deletions(["user0001"]) +
      modify(dnOf("user0002"), "add: employeeType\nemployeeType: guest") +
      `dn: ${dnOf("user0003")}\nchangetype: modrdn\nnewrdn: uid=user0003\ndeleteoldrdn: 1\nnewsuperior: ou=groups,dc=example,dc=org\n\n`,
  );
  expect(await incremental()).toMatchObject({ kind: "incremental", counts: nothing });
  for (const name of ["user0001", "user0002", "user0003"]) {
    expect(await world.user(name)).toMatchObject({ state: "active" });
  }
  expect(await world.sync()).toMatchObject({ kind: "full", counts: { removed: 3 } });
});

test("an entry that loses a clash waits, and is added when the other one has given the name up", async () => {
  await world.slapd.modify(add(person("user0001", { ou: "ou=services" })) + add(person("fresh")));
  world.directory.users.bases = ["dc=example,dc=org"];
  expect(await world.sync()).toMatchObject({ counts: { added: 1, skipped: 1 } });
  expect(await incremental()).toMatchObject({ kind: "incremental", counts: { ...nothing, skipped: 1 } });
  await world.slapd.modify(rename("user0001", "renamed"));
  const run = await incremental();
  expect(run).toMatchObject({ kind: "incremental", counts: { added: 1, changed: 1, skipped: 0 } });
  expect(await world.user("user0001")).toMatchObject({ dn: dnOf("user0001", "ou=services") });
});

test("a new entry with the directory id of a user is skipped, and takes nobody's place", async () => {
  world.directory.users.attributes.id = "employeeNumber";
  await world.slapd.modify(modify(dnOf("user0001"), "add: employeeNumber\nemployeeNumber: 7"));
  Object.assign(world.directory.limits, {
    newIds: { count: 1000, percent: 100 },
    removals: { count: 1000, percent: 100 },
  });
  expect(await world.sync()).toMatchObject({ status: "succeeded" });
  const { id } = await world.user("user0001");
  await world.slapd.modify(
    add(person("thief")) + modify(dnOf("thief"), "add: employeeNumber\nemployeeNumber: 7"),
  );
  expect(await incremental()).toMatchObject({ kind: "incremental", counts: { ...nothing, skipped: 2 } });
  expect(await world.user("user0001")).toMatchObject({ id, dn: dnOf("user0001") });
});

test("a removed user who is in the directory again is restored", async () => {
  await world.slapd.modify(modify(dnOf("user0001"), "replace: objectClass\nobjectClass: inetOrgPerson"));
  world.directory.users.filter = "(&(objectClass=inetOrgPerson)(!(employeeType=guest)))";
  await world.slapd.modify(modify(dnOf("user0001"), "add: employeeType\nemployeeType: guest"));
  expect(await world.sync()).toMatchObject({ counts: { removed: 1 } });
  await world.slapd.modify(modify(dnOf("user0001"), "delete: employeeType"));
  expect(await incremental()).toMatchObject({ kind: "incremental", counts: { restored: 1 } });
});

test("whom a required group already lists is required at once, and a membership that ends, ends with the full run", async () => {
  world.mfa.requireForGroups = ["staff"];
  await world.sync();
  await world.slapd.modify(add(person("future")) + rename("user0000", "elsewhere"));
  expect(await incremental()).toMatchObject({ kind: "incremental", counts: { added: 1, changed: 1 } });
  expect(decideRequirement(await world.user("future")).required).toBe(true);
  expect(decideRequirement(await world.user("elsewhere")).required).toBe(true);
  await world.sync();
  expect(decideRequirement(await world.user("future")).required).toBe(true);
  expect(decideRequirement(await world.user("elsewhere")).required).toBe(false);
});

test("new users get the new-user flag (F2)", async () => {
  world.mfa.requireForNewUsers = true;
  await world.slapd.modify(add(person("fresh")));
  await incremental();
  expect(await world.user("fresh")).toMatchObject({ requiredNewUser: true });
  expect(await world.user("user0001")).toMatchObject({ requiredNewUser: false });
});

test("a dry run tells its plan and changes nothing, so that the next run does it", async () => {
  await world.slapd.modify(add(person("fresh")));
  const before = await storedFacts(world);
  expect(await incremental({ dryRun: true })).toMatchObject({
    status: "succeeded",
    dryRun: true,
    counts: { added: 1 },
  });
  expect(await storedFacts(world)).toEqual(before);
  expect(await incremental()).toMatchObject({ kind: "incremental", counts: { added: 1 } });
});

test("a limit holds an incremental run, and approving it is a full run", async () => {
  world.directory.limits.renames = { count: 1, percent: 1 };
  await world.slapd.modify(["user0001", "user0002"].map((uid) => rename(uid, `new-${uid}`)).join(""));
  const before = await storedFacts(world);
  const held = await incremental();
  expect(held).toMatchObject({
    kind: "incremental",
    status: "held",
    holdReasons: [{ code: "too-many-renames" }],
  });
  expect(await storedFacts(world)).toEqual(before);
  expect(await incremental()).toMatchObject({ status: "held" });
  const approved = await world.sync({ approves: held, trigger: "approval" });
  expect(approved).toMatchObject({ kind: "full", status: "succeeded", counts: { changed: 2 } });
  expect(await incremental()).toMatchObject({ kind: "incremental", status: "succeeded", counts: nothing });
});

test("a changed filter, base, mapping or nesting ends in a full run", async () => {
  const { users, groups } = world.directory;
  const configured = structuredClone(users);
  for (const change of [
    { filter: "(objectClass=person)" },
    { bases: ["dc=example,dc=org"] },
    { attributes: { ...users.attributes, email: "cn" } },
    { aliases: ["mail"] },
  ]) {
    Object.assign(users, configured, change);
    expect(reasonOf(await incremental())).toBe("read-otherwise");
    expect(await incremental()).toMatchObject({ kind: "incremental" });
  }
  if (groups) groups.nested = false;
  expect(reasonOf(await incremental())).toBe("read-otherwise");
});

test("a changed group ends in a full run, and another one follows incrementally", async () => {
  await world.sync();
  await world.slapd.modify(modify(groupDn("staff"), `add: member\nmember: ${dnOf("user0004")}`));
  expect(reasonOf(await incremental())).toBe("groups-changed");
  expect(await incremental()).toMatchObject({ kind: "incremental", counts: { listed: 0 } });
});

test("another server ends in a full run", async () => {
  const other = await startSlapd({ overlays: ["syncprov"], ldif });
  try {
    const { urls, bind } = directoryConfigFor(other);
    Object.assign(world.directory, { urls, bind });
    const run = await incremental();
    expect(run.kind).toBe("full");
    expect(run.notes[0]).toMatchObject({ code: "ended-in-full-run", text: /another server/ });
  } finally {
    await other.stop();
  }
});

test("a server that has gone back is asked for everything", async () => {
  const { db } = world.database;
  const mark = await findMark(db, world.directory.name);
  await db("directory_marks").update({ mark: mark?.mark.replace(/=\d{4}/, "=2999") });
  expect(reasonOf(await incremental())).toBe("mark-went-back");
});

test("without a full run before, there is no incremental one", async () => {
  await world.database.db("directory_marks").delete();
  expect(reasonOf(await incremental())).toBe("no-mark");
});

test("a run whose process was killed leaves everything to the next one, and one whose lease is held waits for it", async () => {
  await world.slapd.modify(add(person("fresh")));
  const before = await storedFacts(world);
  const stopping = new AbortController();
  stopping.abort(new AppError("aborted", "stopped"));
  expect(await incremental({ signal: stopping.signal })).toMatchObject({ status: "failed" });
  expect(await storedFacts(world)).toEqual(before);
  const started = await world.start({ kind: "incremental" });
  const second = await world.start();
  expect(second).toMatchObject({ kind: "already-running", run: { id: started.run.id, kind: "incremental" } });
  if (started.kind !== "started") throw new Error(started.kind);
  expect(await started.finished).toMatchObject({ counts: { added: 1 } });
  expect(await findRun(world.database.db, started.run.id)).toMatchObject({ kind: "incremental" });
});

test("a full run after incremental ones finds nothing left to do", async () => {
  await world.slapd.modify(add(person("fresh")) + mail("user0001", "new") + rename("user0002", "renamed"));
  await incremental();
  expect(await world.sync()).toMatchObject({
    kind: "full",
    notes: [],
    counts: { ...nothing, unchanged: 31 },
  });
});
