// Rule 25: an incremental run reads again what the server says has changed, adds and changes, removes nobody, and becomes a full one
// where that cannot be told.

import { expect, test } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { startSlapd } from "../../scripts/servers/slapd.ts";
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
const everybody = { username: expect.any(String), state: "active" };

test("who is hired, changed, disabled or renamed is stored by an incremental run, which reads nobody else", async () => {
  await world.slapd.modify(
    add(person("fresh")) + mail("user0001", "new") + rename("user0002", "renamed") +
      modify(dnOf("user0003"), "add: objectClass\nobjectClass: pwdPolicy") ,
  ).catch(() => undefined);
  const run = await incremental();
  expect(run).toMatchObject({ kind: "incremental", status: "succeeded", notes: [] });
  expect(run.counts?.listed).toBeLessThan(6);
  expect(run.counts).toMatchObject({ added: 1, changed: 2, removed: 0 });
  expect(await world.user("fresh")).toMatchObject(everybody);
  expect(await world.user("user0001")).toMatchObject({ email: "new@example.org" });
  expect(await world.user("renamed")).toMatchObject({ dn: dnOf("renamed") });
});

test("a run after which nothing has changed reads nobody and writes no user", async () => {
  const before = await storedFacts(world);
  const run = await incremental();
  expect(run).toMatchObject({ kind: "incremental", counts: { listed: 0, ...nothing } });
  expect(await storedFacts(world)).toEqual(before);
});
