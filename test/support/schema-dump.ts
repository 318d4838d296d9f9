// The schema that the migrations make, as PostgreSQL tells it. As a program it rewrites migrations/schema.sql, which is
// there for readers and for reviews: a test keeps it equal to what the migrations do.

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { pino } from "pino";
import { startPostgres } from "../../scripts/servers/postgres.ts";
import { openDatabase } from "../../src/store/database.ts";
import { migrateToLatest } from "../../src/store/migrate.ts";

export const schemaFile = new URL("../../migrations/schema.sql", import.meta.url);

const head = "-- The schema after all migrations. Made by `npm run schema`; read, never run.\n\n";

/** The database's schema without what depends on the server's version. `programs` is the folder of pg_dump. */
export async function dumpSchema(programs: string, url: string): Promise<string> {
  const dump = ["--schema-only", "--no-owner", "--no-privileges", "--schema=public", `--dbname=${url}`];
  const { stdout } = await promisify(execFile)(join(programs, "pg_dump"), dump);
  // Comments, psql commands (\restrict with a random key in later minor versions), settings, and the schema itself.
  const noise = /^(?:--|\\|SET |SELECT pg_catalog\.set_config|CREATE SCHEMA public|COMMENT ON SCHEMA public)/;
  const lines = stdout.split("\n").filter((line) => !noise.test(line));
  return `${head}${lines
    .join("\n")
    .replace(/\n{3,}/g, "\n\n")
    .trim()}\n`;
}

async function writeSchemaFile(): Promise<void> {
  const server = await startPostgres();
  try {
    const config = { kind: "postgres", url: server.url, poolSize: 1 } as const;
    const open = await openDatabase(config, { log: pino({ level: "warn" }), owner: true });
    await migrateToLatest(open.db).finally(open.close);
    await writeFile(schemaFile, await dumpSchema(server.programs, server.url));
  } finally {
    await server.stop();
  }
}

if (import.meta.main) await writeSchemaFile();
