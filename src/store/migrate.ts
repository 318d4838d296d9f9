// Brings the schema to the newest migration, or says why the schema that is there cannot be used. Forward only. Not
// knex's migrator: its lock row stays taken after a crash, and it has no word for a schema that is too new.

import * as usersAndSync from "../../migrations/0001_users_and_sync.ts";
import * as verificationAndAudit from "../../migrations/0002_verification_and_audit.ts";
import * as noticesAndConsole from "../../migrations/0003_notices_and_console.ts";
import { AppError } from "../errors.ts";
import type { Database, Transaction } from "./database.ts";
import {
  createSchemaVersion,
  findSchemaVersion,
  lockSchemaVersion,
  updateSchemaVersion,
} from "./schema-version-table.ts";

export interface Migration {
  /** Without file extension; numbered, and never changed after a release. */
  name: string;
  up(trx: Transaction): Promise<void>;
}

const migrations: readonly Migration[] = [
  { name: "0001_users_and_sync", up: usersAndSync.up },
  { name: "0002_verification_and_audit", up: verificationAndAudit.up },
  { name: "0003_notices_and_console", up: noticesAndConsole.up },
];

/**
 * Applies what is missing and returns its names, none if there was nothing to do. All of it is one transaction that first
 * locks the version row: of many starters at once one works and the others wait, and a crash leaves the schema as it was.
 * Throws AppError `schema-too-new`.
 */
export async function migrateToLatest(
  db: Database,
  list: readonly Migration[] = migrations,
): Promise<string[]> {
  await createSchemaVersion(db);
  return await db.transaction(async (trx) => {
    const pending = pendingAfter(await lockSchemaVersion(trx), list);
    for (const migration of pending) await migration.up(trx);
    const newest = pending.at(-1);
    if (newest !== undefined) await updateSchemaVersion(trx, newest.name);
    return pending.map((migration) => migration.name);
  });
}

/** Throws AppError `schema-too-old` or `schema-too-new`, with what to run, unless the schema is exactly this program's. */
export async function requireCurrentSchema(db: Database): Promise<void> {
  const reached = await findSchemaVersion(db);
  const pending = pendingAfter(reached, migrations);
  if (pending.length === 0) return;
  const message =
    reached === null
      ? "The database has no dirmfa tables yet."
      : `The database schema is older than this dirmfa: it is at ${reached}, and ${pending.length} migration(s) are missing.`;
  throw new AppError("schema-too-old", message, {
    remedy: "Run `dirmfa migrate`.",
    fields: { schema: reached },
  });
}

/** Throws the database's error where a start could not write: a standby, a read-only database, a role without the right. */
export async function requireWritableSchema(db: Database): Promise<void> {
  const trx = await db.transaction();
  try {
    await lockSchemaVersion(trx);
  } finally {
    await trx.rollback();
  }
}

function pendingAfter(reached: string | null, list: readonly Migration[]): readonly Migration[] {
  if (reached === null) return list;
  const at = list.findIndex((migration) => migration.name === reached);
  if (at >= 0) return list.slice(at + 1);
  throw new AppError(
    "schema-too-new",
    `The database schema was made by a newer dirmfa: it is at ${reached}.`,
    {
      remedy: "Run the newer dirmfa, or restore the database backup made before its `dirmfa migrate`.",
      fields: { schema: reached },
    },
  );
}
