// Entries whose DNs hold what a DN escapes: stored, known again in the next run, and members of their groups (rule 1).

import { afterAll, beforeAll, expect, test } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { openSyncWorld, type SyncWorld } from "../support/sync-world.ts";

/** The RDN's value as a DN spells it, and as it is. */
const names = [
  ["Lovelace\\, Ada", "Lovelace, Ada"],
  ["a\\+b", "a+b"],
  ['say \\"hi\\"', 'say "hi"'],
  ["back\\\\slash", "back\\slash"],
  ["\\#hash", "#hash"],
  ["\\ leading", " leading"],
  ["trailing\\ ", "trailing "],
  ["S\u00f8ren K\u0113\u0161s \u5c71\u7530 \u05d0", "S\u00f8ren K\u0113\u0161s \u5c71\u7530 \u05d0"],
] as const;

const ldif = names.map(([rdn, cn], number) => {
  const dn = `cn=${rdn},ou=people,dc=example,dc=org`;
  const person = ldifEntry(dn, [
    ["objectClass", "inetOrgPerson"],
    ["uid", `awkward${number}`],
    ["cn", cn],
    ["sn", "x"],
  ]);
  const group = ldifEntry(`cn=group${number},ou=groups,dc=example,dc=org`, [
    ["objectClass", "groupOfNames"],
    ["cn", `group${number}`],
    ["member", dn],
  ]);
  return person + group;
});

let world: SyncWorld;
beforeAll(async () => {
  world = await openSyncWorld({ ldif: ldif.join("") });
  await world.sync();
});
afterAll(() => world.stop());

test.each(names.map(([rdn], number) => ({ rdn, number })))(
  "an entry named cn=$rdn is stored, and a member of its group alone",
  async ({ number }) => {
    const user = await world.user(`awkward${number}`);
    expect(user.dn).toBe((await world.slapd.search(`(uid=awkward${number})`, ["cn"]))[0]?.dn);
    expect(user.groups.map((group) => group.name)).toEqual([`group${number}`]);
  },
);

test("all of them are unchanged in the next run", async () => {
  expect((await world.sync()).counts).toMatchObject({
    listed: names.length,
    unchanged: names.length,
    changed: 0,
  });
});
