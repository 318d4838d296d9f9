// First imports of more entries than a small plan has, where the statements are others (make-plan.ts), and what PostgreSQL makes of
// them. Only PostgreSQL: the embedded one counts no blocks.

import { expect, test } from "vitest";
import { eachTestInSyncWorld, people, person, type SyncWorld } from "../support/sync-world.ts";

const many = 1500;
let world: SyncWorld;
eachTestInSyncWorld({ ldif: people(many) }, (fresh) => {
  world = fresh;
});

const skips = async () =>
  (await world.database.db("sync_skips").select("dn", "reason").orderBy("dn")).map(
    ({ dn, reason }) => `${reason} ${dn.split(",")[0]}`,
  );

test("of many new entries those whose id or name comes twice are skipped, and the others are users", async () => {
  world.directory.users.attributes.id = "employeeNumber";
  const numbered = (uid: string, number: string) => `${person(uid).trimEnd()}\nemployeeNumber: ${number}\n\n`;
  const changes = Array.from(
    { length: many },
    (_, n) =>
      `dn: uid=user${String(n).padStart(4, "0")},ou=people,dc=example,dc=org\nchangetype: modify\nadd: employeeNumber\nemployeeNumber: ${n}\n\n`,
  );
  await world.slapd.modify(changes.join(""));
  await world.slapd.add(
    // The id of one who can be used and of one who cannot, and ids and names of two who can.
    `${person("x".repeat(300), { rdn: "cn=overlong", cn: "overlong" }).trimEnd()}\nemployeeNumber: 7\n\n` +
      numbered("same-id-1", "same") +
      numbered("same-id-2", "same") +
      `${person("twin", { rdn: "cn=twin-1" }).trimEnd()}\nemployeeNumber: t1\n\n` +
      `${person("twin", { rdn: "cn=twin-2" }).trimEnd()}\nemployeeNumber: t2\n\n`,
  );
  const { status, counts } = await world.sync();
  expect({ status, ...counts }).toMatchObject({
    status: "succeeded",
    listed: many + 5,
    added: many - 1,
    skipped: 6,
  });
  expect(await skips()).toEqual([
    expect.stringMatching(/ cn=overlong$/),
    "username-clash cn=twin-1",
    "username-clash cn=twin-2",
    "id-clash uid=same-id-1",
    "id-clash uid=same-id-2",
    "id-clash uid=user0007",
  ]);
});

test("tables that were vacuumed while they were empty are not read again for every user", async () => {
  const { db } = world.database;
  await db.raw("vacuum users, sync_changes, groups, user_groups, group_members");
  const { inserted } = await blocksRead();
  expect(await world.sync()).toMatchObject({ status: "succeeded", counts: { added: many } });
  // PostgreSQL tells a second late, and may tell of an earlier test as well.
  await expect
    .poll(async () => (await blocksRead()).inserted, { timeout: 20_000 })
    .toBeGreaterThanOrEqual(inserted + many);
  const after = await blocksRead();
  expect(after.read / after.inserted).toBeLessThan(8);
});

async function blocksRead(): Promise<{ read: number; inserted: number }> {
  const { rows } = await world.database.db.raw<{ rows: { read: number; inserted: number }[] }>(
    `select (heap_blks_read + heap_blks_hit)::int as read, n_tup_ins::int as inserted
     from pg_statio_user_tables join pg_stat_user_tables using (relid) where relid = 'users'::regclass`,
  );
  return rows[0] ?? { read: 0, inserted: 0 };
}
