// What runs leave behind when nothing comes of them: unchanged, held, dry and failed ones, again and again, with entries that
// cannot be used. Plans and skips are kept once; what is left for each run is its own row. On both engines.

import { expect, test } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { vacuumTables } from "../../src/store/vacuum-table.ts";
import { listSkips } from "../../src/sync/sync-changes-table.ts";
import type { SyncRun } from "../../src/sync/sync-run.ts";
import { deleteOldRuns } from "../../src/sync/sync-runs-table.ts";
import { deletions, eachTestInSyncWorld, people, person, type SyncWorld } from "../support/sync-world.ts";

const nameless = Array.from({ length: 50 }, (_, n) =>
  ldifEntry(`cn=nameless${n},ou=people,dc=example,dc=org`, [
    ["objectClass", "inetOrgPerson"],
    ["cn", `nameless${n}`],
    ["sn", "nameless"],
  ]),
).join("");

let world: SyncWorld;
eachTestInSyncWorld({ ldif: people(120) + nameless }, (fresh) => {
  world = fresh;
});

const gone = (count: number) => Array.from({ length: count }, (_, n) => `user${String(n).padStart(4, "0")}`);
const rows = async (table: string) => (await world.database.db(table)).length;
const sync = async (times: number, request = {}) => {
  let last: SyncRun | undefined;
  for (let round = 0; round < times; round++) last = await world.sync(request);
  if (!last) throw new Error("no run");
  return last;
};

/** One of each kind of run that changes nothing. */
async function round(): Promise<SyncRun[]> {
  const held = await sync(1);
  const dry = await sync(1, { dryRun: true });
  const { urls } = world.directory;
  world.directory.urls = ["ldap://127.0.0.1:1"];
  const failed = await sync(1);
  world.directory.urls = urls;
  // PostgreSQL's autovacuum does this for itself, at its own time; a daemon does it for the embedded database.
  await vacuumTables(world.database.db);
  return [held, dry, failed];
}

async function bytesOfRuns(): Promise<number> {
  const { db } = world.database;
  const { rows: found } = await db.raw<{ rows: { bytes: string }[] }>(
    `select sum(pg_total_relation_size(oid)) as bytes from pg_class
     where relname in ('sync_runs', 'sync_changes', 'sync_skips', 'users', 'groups', 'user_absences') or relname like 'staged%' and relkind = 'r'`,
  );
  return Number(found[0]?.bytes);
}

test("unchanged, held, dry and failed runs leave a row each, and nothing else", {
  timeout: 120_000,
}, async () => {
  const first = await sync(2);
  expect(first).toMatchObject({ status: "succeeded", counts: { unchanged: 120, skipped: 50 } });
  expect(await rows("sync_skips")).toBe(50);
  await world.slapd.modify(deletions(gone(80)));
  await world.slapd.add(person("hired"));
  for (let warm = 0; warm < 1; warm++) {
    const [held, dry, failed] = await round();
    expect([held?.status, dry?.status, failed?.status]).toEqual(["held", "held", "failed"]);
    expect(await world.changes(held as SyncRun)).toHaveLength(81);
    expect(await world.changes(dry as SyncRun)).toHaveLength(81);
    expect(await listSkips(world.database.db, (held as SyncRun).id, 100)).toHaveLength(50);
  }
  const before = await bytesOfRuns();
  const rounds = 3;
  for (let n = 0; n < rounds; n++) await round();
  expect(await rows("sync_skips")).toBe(50);
  expect(await rows("sync_changes")).toBe(120 + 81);
  // A run's row has about 1,000 bytes, in pages of 8,192 of which a table may take some before it uses the first ones again; a
  // plan of 81 lines and 50 skips, kept by each, would have 40,000.
  expect(((await bytesOfRuns()) - before) / (rounds * 3)).toBeLessThan(12_000);
});

test("a plan that is shared outlives the run that has kept it, and is approved like any other", async () => {
  await sync(1);
  await world.slapd.modify(deletions(gone(30)));
  const [first, second] = [await sync(1), await sync(1)];
  expect([first, second]).toMatchObject([{ status: "held" }, { status: "held" }]);
  expect(await rows("sync_changes")).toBe(120 + 30);
  const { db } = world.database;
  await db("sync_runs")
    .where({ id: first.id })
    .update({ started_at: db.raw("now() - interval '40 days'") });
  expect(await db.transaction((trx) => deleteOldRuns(trx, 30 * 86_400_000))).toBe(1);
  expect(await world.changes(second)).toHaveLength(30);
  expect(await listSkips(db, second.id, 100)).toHaveLength(50);
  await world.slapd.modify(deletions(["user0100"]));
  const approved = await sync(1, { trigger: "approval", approves: second });
  expect(approved).toMatchObject({ status: "succeeded", counts: { removed: 30 } });
  await db("sync_runs").update({ started_at: db.raw("now() - interval '40 days'") });
  await db.transaction((trx) => deleteOldRuns(trx, 30 * 86_400_000));
  expect([await rows("sync_changes"), await rows("sync_skips")]).toEqual([0, 0]);
});
