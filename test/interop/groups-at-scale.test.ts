// Groups as large organizations have them: one that lists everybody, very many, nested twenty deep, in a cycle, with members
// that are nobody. GROUPS_SCALE=20 makes it 100,000 users and 10,000 groups; the figures in docs/directories.md are of that.

import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { generateLargeOrganization, largeOrganizationUid } from "../../scripts/servers/large-organization.ts";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { directoryConfigFor, type Slapd, startSlapd } from "../../scripts/servers/slapd.ts";
import type { SyncRun } from "../../src/sync/sync-run.ts";
import { openSyncedStore, type SyncedStore } from "../support/sync-world.ts";

const scale = Number(process.env.GROUPS_SCALE ?? 1);
const users = 5_000 * scale;
const smallGroups = 500 * scale;
const chainLength = 20;

const suffix = "dc=example,dc=org";
const userDn = (number: number) => `uid=${largeOrganizationUid(number)},ou=people,${suffix}`;
const groupDn = (cn: string) => `cn=${cn},ou=groups,${suffix}`;
const group = (cn: string, members: string[]) =>
  ldifEntry(groupDn(cn), [
    ["objectClass", "groupOfNames"],
    ["cn", cn],
    ...members.map((member) => ["member", member] as const),
  ]);

let folder: string;
let slapd: Slapd;
let store: SyncedStore;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dirmfa-groups-"));
  const ldifFile = join(folder, "organization.ldif");
  await generateLargeOrganization({ path: ldifFile, users, groups: smallGroups });
  const outsiders = Array.from({ length: users / 10 }, (_, number) => `uid=out${number},ou=away,${suffix}`);
  const everybody = Array.from({ length: users }, (_, number) => userDn(number));
  const chain = Array.from({ length: chainLength }, (_, level) =>
    group(`level${level}`, [level === 0 ? userDn(7) : groupDn(`level${level - 1}`)]),
  );
  // Twice as many groups: half of them contain one of the others.
  const containers = Array.from({ length: smallGroups }, (_, number) =>
    group(`container${number}`, [groupDn(`group${number}`)]),
  );
  await appendFile(
    ldifFile,
    group("everybody", [...everybody, ...outsiders]) +
      chain.join("") +
      containers.join("") +
      group("cycle-a", [groupDn("cycle-b"), userDn(1)]) +
      group("cycle-b", [groupDn("cycle-a"), userDn(2)]),
  );
  slapd = await startSlapd({ ldifFile });
  store = await openSyncedStore(directoryConfigFor(slapd));
}, 600_000);
afterAll(async () => {
  await store?.stop();
  await slapd?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function timed(what: string): Promise<SyncRun> {
  const startedAt = performance.now();
  const run = await store.sync();
  console.log(`${what}: ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  expect(run.error).toBeNull();
  return run;
}

const inGroup = async (cn: string) => {
  const { db } = store.database;
  const [row] = await db("user_groups").join("groups", "groups.id", "group_id").where({ name: cn }).count();
  return Number(row?.count);
};

test("everybody is where the groups say, however deep, and a second run finds nothing to do", async () => {
  const first = await timed(`first import of ${users} users, ${2 * smallGroups + chainLength + 3} groups`);
  expect(first.counts).toMatchObject({ added: users, skipped: 0 });
  expect(await inGroup("everybody")).toBe(users);
  expect(await inGroup("group3")).toBe(10);
  expect(await inGroup("container3")).toBe(10);
  for (const level of [0, 10, chainLength - 1]) expect(await inGroup(`level${level}`)).toBe(1);
  expect([await inGroup("cycle-a"), await inGroup("cycle-b")]).toEqual([2, 2]);

  const second = await timed("nothing changed");
  expect(second.counts).toMatchObject({ unchanged: users, changed: 0 });

  await slapd.modify(
    `dn: ${groupDn("everybody")}\nchangetype: modify\ndelete: member\nmember: ${userDn(5)}\n\n`,
  );
  const third = await timed("one member left the group of everybody");
  expect(third.counts).toMatchObject({ changed: 1 });
  expect(await inGroup("everybody")).toBe(users - 1);

  await slapd.modify(`dn: ${userDn(9)}\nchangetype: modify\nreplace: mail\nmail: new@example.org\n\n`);
  const fourth = await timed("one user has another address");
  expect((await store.changes(fourth)).map(({ reasons }) => reasons)).toEqual([["email-changed"]]);
}, 600_000);
