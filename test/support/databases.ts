// Fresh, migrated databases for tests, of the engine that the vitest project names.

import { randomBytes } from "node:crypto";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { inject } from "vitest";
import { memoryFolder, runStatement } from "../../scripts/servers/postgres.ts";
import type { DatabaseConfig } from "../../src/config/config.ts";
import { type OpenDatabase, openDatabase } from "../../src/store/database.ts";
import { noteSecret } from "./kept-logs.ts";

export type TestDatabase = OpenDatabase & { config: DatabaseConfig };

/** Empty tables, nobody else in it; dropped on close. Cheap enough for one a test file, too slow for one a test. */
export async function openTestDatabase(): Promise<TestDatabase> {
  const { config, drop } = await createTestDatabase();
  try {
    const open = await openDatabase(config, { log: pino({ level: "silent" }), owner: true });
    return { ...open, config, close: () => open.close().then(drop) };
  } catch (error) {
    await drop();
    throw error;
  }
}

/** Makes a test's database as new for the next test; much cheaper than another one. */
export async function emptyTables({ db }: TestDatabase): Promise<void> {
  const tables: { tablename: string }[] = await db("pg_tables")
    .select("tablename")
    .where("schemaname", "public")
    .whereNot("tablename", "schema_version");
  // Most tables are empty after a test, and to truncate one takes new files: rows are deleted where there are any.
  const deletions = tables.map(
    ({ tablename }) => `if exists (select from ${tablename}) then delete from ${tablename}; end if;`,
  );
  await db.transaction(async (trx) => {
    // Audit events refuse to be deleted; the role of a replica runs no triggers.
    await trx.raw("set local session_replication_role = replica");
    await trx.raw(`do $$ begin ${deletions.join(" ")} end $$`);
  });
}

/** The same, for tests that open the database themselves or in another process. */
export async function createTestDatabase(): Promise<{ config: DatabaseConfig; drop(): Promise<void> }> {
  return inject("engine") === "embedded" ? await copyEmbedded() : await clonePostgres();
}

async function clonePostgres(): Promise<{ config: DatabaseConfig; drop(): Promise<void> }> {
  const name = `test_${randomBytes(8).toString("hex")}`;
  const serverUrl = inject("postgresUrl");
  noteSecret(new URL(serverUrl).password);
  await runStatement(serverUrl, `create database ${name} template dirmfa_template`);
  return {
    config: { kind: "postgres", url: serverUrl.replace(/postgres$/, name), poolSize: 10 },
    drop: () => runStatement(serverUrl, `drop database if exists ${name} with (force)`),
  };
}

async function copyEmbedded(): Promise<{ config: DatabaseConfig; drop(): Promise<void> }> {
  const folder = await mkdtemp(join(await memoryFolder(), "dirmfa-embedded-"));
  await cp(join(inject("embeddedTemplate"), "pgdata"), join(folder, "pgdata"), { recursive: true });
  return { config: { kind: "embedded", folder }, drop: () => rm(folder, { recursive: true, force: true }) };
}
