// 1,000 unchanged, 1,000 held and 1,000 failed runs of a small directory with entries that cannot be used: under a retention that
// forgets old runs the store stays as large as it is, and as small as a row a run. On both engines;
// test/sync/growth.test.ts shows what each run leaves.

import { expect, test } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { giveUp } from "../../src/notices/notices-table.ts";
import { vacuumTables } from "../../src/store/vacuum-table.ts";
import { deleteOldRuns } from "../../src/sync/sync-runs-table.ts";
import { deletions, openSyncWorld, people, type SyncWorld } from "../support/sync-world.ts";

const users = 40;
const skipped = 10;
const gone = 20;
const runs = 1000;
// How many are kept, and after how many the size is looked at: each kind fills the retention four times.
const kept = runs / 4;
const retentionMs = 30 * 86_400_000;

const nameless = Array.from({ length: skipped }, (_, n) =>
  ldifEntry(`cn=nameless${n},ou=people,dc=example,dc=org`, [
    ["objectClass", "inetOrgPerson"],
    ["cn", `nameless${n}`],
    ["sn", "nameless"],
  ]),
).join("");

// Some minutes on a machine that does other work too.
const timeout = 1_200_000;

test("unchanged, held and failed runs, 1,000 of each, leave the store as large as it was", {
  timeout,
}, async () => {
  const world = await openSyncWorld({ ldif: people(users) + nameless });
  try {
    expect(await world.sync()).toMatchObject({ status: "succeeded", counts: { added: users, skipped } });
    await vacuumTables(world.database.db);
    const empty = await bytes(world);
    const sizes: Record<string, number[]> = {};
    sizes.succeeded = await sizesWhile(world, "succeeded");
    await world.slapd.modify(deletions(Array.from({ length: gone }, (_, n) => `user00${n + 10}`)));
    sizes.held = await sizesWhile(world, "held");
    world.directory.urls = ["ldap://127.0.0.1:1"];
    sizes.failed = await sizesWhile(world, "failed");
    console.log(JSON.stringify({ empty, ...sizes }));
    for (const [kind, [first = 0, second = 0, ...rest]] of Object.entries(sizes)) {
      // Before the size is looked at there were twice as many. A plan, kept by each, would have 6,000 bytes, its skips 3,000.
      expect((Math.max(first, second) - empty) / (2 * kept), `${kind}: bytes a run`).toBeLessThan(4000);
      // A row that nothing forgets, of 200 bytes with its index, would be twelve pages in the two quarters since.
      expect((Math.max(...rest) - second) / 8192, `${kind}: pages more`).toBeLessThan(12);
    }
  } finally {
    await world.stop();
  }
});

/** After each quarter of the runs, the size. */
async function sizesWhile(world: SyncWorld, status: string): Promise<number[]> {
  const { db } = world.database;
  const sizes: number[] = [];
  for (let quarter = 0; quarter < 4; quarter++) {
    for (let run = 0; run < kept; run++) {
      expect(await world.sync()).toMatchObject({ status });
      // What autovacuum, or a daemon on the embedded database, does for itself.
      if (run % 50 === 0) await vacuumTables(db);
    }
    // What a daemon does each hour: of the quarters, the last one is kept.
    await db("sync_runs").update({ started_at: db.raw("started_at - interval '20 days'") });
    await db("notices").update({ created_at: db.raw("created_at - interval '20 days'") });
    await db.transaction((trx) => deleteOldRuns(trx, retentionMs));
    await giveUp(db, { afterMs: retentionMs, channels: [] });
    await vacuumTables(db);
    sizes.push(await bytes(world));
  }
  return sizes;
}

/** Of all tables but the audit's, which is kept for ever or has its own retention. */
async function bytes({ database }: SyncWorld): Promise<number> {
  const { rows } = await database.db.raw<{ rows: { bytes: string }[] }>(
    `select sum(pg_total_relation_size(oid)) as bytes from pg_class
     where relnamespace = 'public'::regnamespace and relkind = 'r' and relname not like 'audit%'`,
  );
  return Number(rows[0]?.bytes);
}
