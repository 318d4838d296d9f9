// Entries that cannot be used, or not whole (rule 8): who is kept, who is disabled, who is told of, and when a run is held.

import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { directoryConfigFor } from "../../scripts/servers/slapd.ts";
import type { SyncRun } from "../../src/sync/sync-run.ts";
import { emptyTables } from "../support/databases.ts";
import { openSyncWorld, type SyncWorld } from "../support/sync-world.ts";

let world: SyncWorld;
let base: string;
let number = 0;
beforeAll(async () => {
  world = await openSyncWorld();
});
afterAll(() => world.stop());
// Every test has its own directory: a branch with two bases, entries whose ids are employee numbers, "left" disables.
beforeEach(async () => {
  await emptyTables(world.database);
  number += 1;
  base = `ou=branch${number},dc=example,dc=org`;
  const branch = (dn: string) => ldifEntry(dn, [["objectClass", "organizationalUnit"]]);
  await world.slapd.add(branch(base) + branch(`ou=one,${base}`) + branch(`ou=two,${base}`));
  world.directory = { ...directoryConfigFor(world.slapd), name: `branch${number}`, groups: undefined };
  // All of them stay configured: their people have the same names, and are not those of a directory that was renamed.
  world.directories = Array.from({ length: number }, (_, before) => `branch${before + 1}`);
  world.directory.users.bases = [`ou=one,${base}`, `ou=two,${base}`];
  world.directory.users.attributes.id = "employeeNumber";
  world.directory.users.disabled = { kind: "attribute", attribute: "employeeType", values: ["left"] };
  world.directory.limits.pageSize = 3;
});

interface Entry {
  id?: string;
  uid?: string | Buffer | null;
  ou?: string;
  more?: [string, string | Buffer][];
}
const entry = (rdn: string, { id = rdn, uid = rdn, ou = "one", more = [] }: Entry = {}) =>
  ldifEntry(`cn=${rdn},ou=${ou},${base}`, [
    ["objectClass", "inetOrgPerson"],
    ["cn", rdn],
    ["sn", rdn],
    ...(id === "" ? [] : [["employeeNumber", id] as const]),
    ...(uid === null ? [] : [["uid", uid] as const]),
    ...more,
  ]);
const add = (...entries: string[]) => world.slapd.add(entries.join(""));
const replace = (rdn: string, attribute: string, value: string | null, ou = "one") =>
  world.slapd.modify(
    `dn: cn=${rdn},ou=${ou},${base}\nchangetype: modify\nreplace: ${attribute}\n${value === null ? "" : `${attribute}: ${value}\n`}\n`,
  );
const remove = (rdn: string, ou = "one") =>
  world.slapd.modify(`dn: cn=${rdn},ou=${ou},${base}\nchangetype: delete\n\n`);

async function stored(): Promise<Record<string, string>> {
  const rows = await world.database.db("users").where({ directory: world.directory.name });
  return Object.fromEntries(
    rows.map((user) => [
      user.directory_id,
      `${user.username} ${user.state} ${user.dn.split(",ou=branch")[0]}`,
    ]),
  );
}
// Kept with an earlier run where they are equal.
const skipsOf = (run: SyncRun) =>
  world.database
    .db("sync_skips")
    .whereRaw("run_id = (select coalesce(skips_of, id) from sync_runs where id = ?)", [run.id])
    .orderBy("dn");
const overlong = "x".repeat(5000);

test("an overlong display name, which users may write themselves, neither keeps a user from being disabled nor hides a new person", async () => {
  await add(entry("anna"), entry("ben"));
  await world.sync();
  await replace("anna", "displayName", overlong);
  await replace("anna", "employeeType", "left");
  await remove("ben");
  // Somebody else, under the same DN and the same name.
  await add(entry("ben", { id: "ben2", more: [["displayName", overlong]] }));
  const run = await world.sync();
  expect(await stored()).toEqual({
    anna: "anna disabled cn=anna,ou=one",
    ben: "ben removed cn=ben,ou=one",
    ben2: "ben active cn=ben,ou=one",
  });
  expect(run).toMatchObject({
    status: "succeeded",
    counts: { skipped: 0 },
    notes: [{ code: "attributes-left-out" }],
  });
  expect(await skipsOf(run)).toMatchObject([
    { dn: `cn=anna,ou=one,${base}`, reason: "attribute-left-out", detail: "displayName has 5000 characters" },
    { dn: `cn=ben,ou=one,${base}`, reason: "attribute-left-out" },
  ]);
});

test("a skipped entry with another id protects nobody, and one without an id protects who has its place", async () => {
  await add(entry("anna"), entry("ben"));
  await world.sync();
  await remove("anna");
  await remove("ben");
  await add(entry("anna", { id: "anna2", uid: " " }), entry("ben", { id: "" }));
  const run = await world.sync();
  expect(run).toMatchObject({ status: "held", holdReasons: [{ code: "listing-unusable" }] });
  await add(entry("carl"));
  expect((await world.sync()).counts).toMatchObject({ removed: 1, skipped: 2 });
  expect(await stored()).toMatchObject({
    anna: "anna removed cn=anna,ou=one",
    ben: "ben active cn=ben,ou=one",
  });
});

test("a skipped entry with another id protects nobody by its name alone", async () => {
  await add(entry("anna"), entry("ben"));
  await world.sync();
  await remove("ben");
  // A DN of more than 4,096 characters, in parts that a server takes: all else of the entry can be read.
  const parts = Array.from({ length: 20 }, (_, n) => String(n).padStart(220, "x"));
  const below = (depth: number) => [...parts.slice(0, depth).reverse(), "one"].join(",ou=");
  for (let depth = 1; depth <= parts.length; depth += 1)
    await add(ldifEntry(`ou=${below(depth)},${base}`, [["objectClass", "organizationalUnit"]]));
  await add(entry("other", { id: "ben2", uid: "ben", ou: below(parts.length) }));
  const run = await world.sync();
  expect(await skipsOf(run)).toMatchObject([
    { reason: "too-long", directory_id: "ben2", username_key: "ben" },
  ]);
  expect(run.counts).toMatchObject({ removed: 1, skipped: 1 });
});

test("a skipped entry disables its user, who is enabled when it can be used again as it was", async () => {
  await add(entry("anna"), entry("ben"), entry("carl"));
  await world.sync();
  await replace("anna", "uid", "ben");
  await replace("anna", "employeeType", "left");
  await replace("carl", "uid", null);
  await replace("carl", "employeeType", "left");
  const run = await world.sync();
  expect(run.counts).toMatchObject({ skipped: 2, disabled: 2 });
  const disabled = { anna: "anna disabled cn=anna,ou=one", carl: "carl disabled cn=carl,ou=one" };
  expect(await stored()).toMatchObject(disabled);
  expect((await world.changes(run)).map(({ reasons }) => reasons)).toEqual(
    [1, 2].map(() => ["disabled-in-directory", "entry-skipped"]),
  );
  expect((await world.sync()).counts).toMatchObject({ disabled: 0 });
  await replace("anna", "uid", "anna");
  await replace("anna", "employeeType", null);
  await replace("carl", "uid", "carl");
  await replace("carl", "employeeType", null);
  expect((await world.sync()).counts).toMatchObject({ changed: 2, skipped: 0 });
  expect(await stored()).toMatchObject({
    anna: "anna active cn=anna,ou=one",
    carl: "carl active cn=carl,ou=one",
  });
});

test.each([
  ["in one page", "one", 3],
  ["on two pages", "one", 1],
  ["in two bases", "two", 3],
])(
  "two entries with one directory id, %s, are both skipped, and the user stays as it is",
  async (_, ou, pageSize) => {
    world.directory.limits.pageSize = pageSize;
    await add(entry("anna"), entry("ben"));
    await world.sync();
    const before = await stored();
    await add(
      entry("copy", { id: "anna", ou }),
      entry("dora"),
      entry("dora2", { id: "dora", uid: "dora2", ou }),
    );
    for (const _again of [1, 2]) {
      const run = await world.sync();
      expect(run).toMatchObject({
        status: "succeeded",
        counts: { listed: 5, unchanged: 1, skipped: 4, added: 0, changed: 0 },
      });
      expect(await stored()).toEqual(before);
      const skips = await skipsOf(run);
      expect(skips.map(({ reason }) => reason)).toEqual(Array(4).fill("id-clash"));
      expect(skips[0].detail).toContain(`of cn=anna,ou=one,${base} is also that of cn=copy,ou=${ou},${base}`);
    }
    // Disabled by the entry in the user's place, not by any other.
    await replace("copy", "employeeType", "left", ou);
    await world.sync();
    expect(await stored()).toEqual(before);
    await replace("copy", "employeeType", null, ou);
    await replace("anna", "employeeType", "left");
    await world.sync();
    expect(await stored()).toMatchObject({ anna: "anna disabled cn=anna,ou=one" });
    await remove("anna");
    await world.sync();
    expect(await stored()).toMatchObject({ anna: `copy active cn=copy,ou=${ou}` });
  },
);

test("an entry that moves from one base to another while it is listed is one entry, and is where it is now", async () => {
  world.directory.limits.pageSize = 1;
  await add(entry("anna"), entry("ben"), entry("carl"), entry("dora"));
  await world.sync();
  await add(entry("eva"), ...Array.from({ length: 8 }, (_, n) => entry(`further${n}`)));
  const move = (rdn: string) =>
    `dn: cn=${rdn},ou=one,${base}\nchangetype: modrdn\nnewrdn: cn=${rdn}\ndeleteoldrdn: 1\nnewsuperior: ou=two,${base}\n\n`;
  const { url, adminDn, adminPasswordFile } = world.slapd;
  const run = await world.sync({
    onProgress: (listed) => {
      // The listing waits meanwhile.
      const input = move("anna") + move("eva");
      if (listed === 6)
        execFileSync("ldapmodify", ["-x", "-H", url, "-D", adminDn, "-y", adminPasswordFile], { input });
    },
  });
  expect(run).toMatchObject({
    status: "succeeded",
    counts: { listed: 15, skipped: 0, changed: 1, added: 9 },
  });
  expect(await stored()).toMatchObject({
    anna: "anna active cn=anna,ou=two",
    eva: "eva active cn=eva,ou=two",
  });
  expect((await world.sync()).counts).toMatchObject({ listed: 13, unchanged: 13, skipped: 0 });
});

test("an entry below two bases is one entry", async () => {
  world.directory.users.bases = [base, `ou=one,${base}`];
  await add(entry("anna"), entry("ben", { ou: "two" }));
  expect((await world.sync()).counts).toMatchObject({ added: 2, skipped: 0 });
  await replace("anna", "mail", "anna@example.org");
  expect((await world.sync()).counts).toMatchObject({ changed: 1, skipped: 0 });
  expect((await world.sync()).counts).toMatchObject({ changed: 0, skipped: 0 });
});

test("a listing of which nothing can be used is held, and neither it nor an empty one uses up the exempt initial import", async () => {
  world.mfa = { ...world.mfa, requireForNewUsers: true, initialImport: "exempt" };
  expect((await world.sync()).status).toBe("succeeded");
  await add(entry("anna", { uid: null }), entry("ben", { uid: null }));
  const run = await world.sync();
  expect(run).toMatchObject({
    status: "held",
    counts: { listed: 2, skipped: 2 },
    holdReasons: [{ code: "listing-unusable" }],
  });
  await replace("anna", "uid", "anna");
  expect((await world.sync()).counts).toMatchObject({ added: 1, skipped: 1 });
  const flags = await world.database
    .db("users")
    .where({ directory: world.directory.name })
    .pluck("required_new_user");
  expect(flags).toEqual([false]);
});

test("groups that cannot be used do not count as users, and stay as they are", async () => {
  const group = (rdn: string, id: string, ...members: string[]) =>
    ldifEntry(`cn=${rdn},ou=groups,dc=example,dc=org`, [
      ["objectClass", "groupOfNames"],
      ["objectClass", "extensibleObject"],
      ["cn", rdn],
      ["employeeNumber", id],
      ...members.map((member) => ["member", `cn=${member},ou=one,${base}`] as const),
    ]);
  world.directory.groups = directoryConfigFor(world.slapd).groups;
  if (world.directory.groups) world.directory.groups.attributes.id = "employeeNumber";
  await add(entry("anna"), entry("ben"), group("admins", "g1", "anna"), group("staff", "g2", "ben"));
  await world.sync();
  const memberships = () => world.database.db("user_groups").orderBy(["user_id", "group_id"]);
  const before = await memberships();
  expect(before).toHaveLength(2);
  await world.slapd.add(group("copy", "g1", "ben"));
  for (const _ of [1, 2]) {
    const run = await world.sync();
    expect(run).toMatchObject({ status: "succeeded", counts: { listed: 2, unchanged: 2, skipped: 0 } });
    expect(run.notes).toMatchObject([{ code: "groups-skipped" }]);
    expect(await memberships()).toEqual(before);
  }
  await remove("anna");
  await remove("ben");
  const empty = await world.sync();
  expect(empty).toMatchObject({ status: "held", counts: { listed: 0 } });
  expect(empty.holdReasons).toMatchObject([{ code: "listing-empty" }]);
});

test("a page of thousands of skips is stored", async () => {
  world.directory.limits.pageSize = 10_000;
  world.directory.limits.messageBytes = 1024 * 1024;
  const count = 9_500; // times 7 columns: more than the 65,535 bindings that a statement may have
  await add(entry("anna"), ...Array.from({ length: count }, (_, n) => entry(`e${n}`, { id: "", uid: null })));
  const run = await world.sync();
  expect(run.error).toBeNull();
  expect(run).toMatchObject({ status: "succeeded", counts: { added: 1, skipped: count } });
}, 120_000);
