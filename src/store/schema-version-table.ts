// The one row that says which migration the schema has reached, and that starters queue on. Knows no migrations.

import type { Database, Transaction } from "./database.ts";
import { rawRows } from "./raw-rows.ts";

// A starter that loses the race to create the table gets one of these instead of the promised "if not exists":
// duplicate table, duplicate object (the table's row type), or duplicate key in the system's own catalogs.
const alreadyCreated = new Set(["42P07", "42710", "23505"]);

const undefinedTable = "42P01";

/** Creates the table where there is none. Safe for any number of starters at once. */
export async function createSchemaVersion(db: Database): Promise<void> {
  try {
    await db.raw(`create table if not exists schema_version (
      only_row boolean not null default true,
      -- Name of the newest migration applied, null before the first.
      migration text,
      changed_at timestamptz not null default now(),
      constraint schema_version_pkey primary key (only_row),
      constraint schema_version_only_row check (only_row)
    )`);
  } catch (error) {
    if (!alreadyCreated.has(sqlStateOf(error) ?? "")) throw error;
  }
}

/** Waits for whoever is migrating, then returns the migration reached; nobody else migrates until `trx` ends. */
export async function lockSchemaVersion(trx: Transaction): Promise<string | null> {
  await trx.raw("insert into schema_version (migration) values (null) on conflict do nothing");
  const rows = await rawRows<{ migration: string | null }>(
    trx,
    "select migration from schema_version for update",
  );
  return rows[0]?.migration ?? null;
}

export async function updateSchemaVersion(trx: Transaction, migration: string): Promise<void> {
  await trx("schema_version").update({ migration, changed_at: trx.fn.now() });
}

/** The migration reached, or null for a database without dirmfa's tables. */
export async function findSchemaVersion(db: Database): Promise<string | null> {
  try {
    const row = await db("schema_version").first<{ migration: string | null } | undefined>("migration");
    return row?.migration ?? null;
  } catch (error) {
    if (sqlStateOf(error) === undefinedTable) return null;
    throw error;
  }
}

function sqlStateOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
