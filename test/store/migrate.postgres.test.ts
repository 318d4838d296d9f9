// Many starters at once, and migrations/schema.sql, which is what they make.

import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { pino } from "pino";
import { expect, inject, test } from "vitest";
import { ensureServers } from "../../scripts/servers/install-servers.ts";
import { runStatement } from "../../scripts/servers/postgres.ts";
import { openDatabase } from "../../src/store/database.ts";
import { migrateToLatest, requireCurrentSchema } from "../../src/store/migrate.ts";
import { openTestDatabase } from "../support/databases.ts";
import { dumpSchema, schemaFile } from "../support/schema-dump.ts";

test("of eight processes' pools that migrate one empty database at once, each ends with the newest schema", async () => {
  const url = inject("postgresUrl").replace(/postgres$/, "migrated_by_eight");
  await runStatement(inject("postgresUrl"), "create database migrated_by_eight");
  const starters = await Promise.all(
    Array.from({ length: 8 }, () =>
      openDatabase({ kind: "postgres", url, poolSize: 2 }, { log: pino({ level: "silent" }), owner: true }),
    ),
  );
  try {
    const applied = await Promise.all(starters.map(({ db }) => migrateToLatest(db)));
    expect(applied.filter((names) => names.length > 0)).toHaveLength(1);
    for (const { db } of starters) await requireCurrentSchema(db);
  } finally {
    for (const { close } of starters) await close();
  }
});

test("migrations/schema.sql is what the migrations make; `npm run schema` rewrites it", async () => {
  const { postgres } = await ensureServers(["postgresql"]);
  const database = await openTestDatabase();
  try {
    if (database.config.kind !== "postgres" || postgres === undefined)
      throw new Error("no PostgreSQL server");
    expect(await dumpSchema(dirname(postgres), database.config.url)).toBe(await readFile(schemaFile, "utf8"));
  } finally {
    await database.close();
  }
});
