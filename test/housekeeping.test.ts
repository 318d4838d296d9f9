// What a daemon tidies up by itself, so that nothing grows for ever.

import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startHousekeeping } from "../src/housekeeping.ts";
import { openTestDatabase, type TestDatabase } from "./support/databases.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

const dayMs = 86_400_000;

test("runs of long ago are forgotten, and in the embedded database the space of what is gone is used again", async () => {
  const { db } = database;
  const run = (days: number) => ({
    ...{ directory: "main", kind: "full", trigger: "schedule", requested_by: "schedule", dry_run: false },
    ...{ status: "held", fencing_token: 1, finished_at: new Date() },
    started_at: new Date(Date.now() - days * dayMs),
  });
  await db("sync_runs").insert([run(91), run(89)]);
  const vacuumed = async () => {
    const { rows } = await db.raw(
      "select from pg_stat_user_tables where relname = 'sync_runs' and vacuum_count > 0",
    );
    return rows.length;
  };
  expect(await vacuumed()).toBe(0);
  const actor = { name: "retention", via: "daemon" } as const;
  const retention = { removedUsersMs: 90 * dayMs, syncRunsMs: 90 * dayMs, auditEventsMs: undefined };
  // Told that it is embedded: PostgreSQL does the same work when it is asked, and counts it.
  const rounds = startHousekeeping(
    { db, log: pino({ level: "silent" }), actor, engine: "embedded" },
    () => retention,
  );
  await expect.poll(vacuumed, { timeout: 20_000 }).toBe(1);
  await rounds.stop();
  expect(await db("sync_runs")).toHaveLength(1);
});
