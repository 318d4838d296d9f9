// Copies a whole database into an empty one: from the embedded database to a PostgreSQL server, or from one server to another.
// One transaction on the target, so that a copy that was stopped anywhere leaves nothing there.

import { AppError } from "../errors.ts";
import {
  copySequences,
  countOtherProcesses,
  emptyTable,
  insertRows,
  isEmptyDatabase,
  listTables,
  readRows,
  sumTable,
  useOneForm,
} from "./copy-table.ts";
import type { Database, OpenDatabase, Transaction } from "./database.ts";
import { migrateToLatest, requireCurrentSchema } from "./migrate.ts";

export interface CopiedTable {
  table: string;
  rows: number;
}

// Some hundred kilobytes a statement; plans and events have the largest rows.
const batch = 500;

/**
 * Copies every row of every table and compares both sides. Throws AppError `invalid-usage` when the target is not empty or
 * others work on the source: what they write meanwhile, such as a spent code, would be missing. `finish` may add to the
 * target in the same transaction.
 */
export async function copyDatabase(
  source: OpenDatabase,
  target: Database,
  steps: {
    onTable?(copied: CopiedTable): void;
    finish(trx: Transaction, copied: CopiedTable[]): Promise<void>;
  },
): Promise<CopiedTable[]> {
  await requireCurrentSchema(source.db);
  return source.db.transaction(
    async (from) => {
      if (source.engine === "postgres") await requireAlone(from);
      return target.transaction(async (to) => {
        await makeTables(to);
        await useOneForm(from);
        await useOneForm(to);
        const copied: CopiedTable[] = [];
        for (const table of inOrder(await listTables(from))) {
          copied.push({ table, rows: await copyTable(from, to, table) });
          steps.onTable?.({ table, rows: copied.at(-1)?.rows ?? 0 });
        }
        await copySequences(from, to);
        await steps.finish(to, copied);
        return copied;
      });
    },
    { isolationLevel: "repeatable read", readOnly: true },
  );
}

async function requireAlone(from: Transaction): Promise<void> {
  const others = await countOtherProcesses(from);
  if (others === 0) return;
  throw new AppError("invalid-usage", `The database is in use by dirmfa (${others} other connections).`, {
    remedy: "Stop every daemon and command first: what they write during the copy would be missing in it.",
  });
}

async function makeTables(to: Transaction): Promise<void> {
  if (!(await isEmptyDatabase(to))) {
    throw new AppError("invalid-usage", "The target database is not empty.", {
      remedy: "Create a new database for the copy, and run nothing in it before, `dirmfa migrate` neither.",
    });
  }
  await migrateToLatest(to);
}

async function copyTable(from: Transaction, to: Transaction, table: string): Promise<number> {
  // What a migration has put there comes from the source as well. Tables that only grow refuse even an empty delete.
  if ((await sumTable(to, table)).rows > 0) await emptyTable(to, table);
  await readRows(from, table, { batch, onRows: (rows) => insertRows(to, table, rows) });
  const [before, after] = [await sumTable(from, table), await sumTable(to, table)];
  if (before.rows === after.rows && before.digest === after.digest) return after.rows;
  throw new Error(`the copy of ${table} is not its source: ${before.rows} rows, ${after.rows} copied`);
}

/** Tables after those that they refer to. */
function inOrder(tables: { name: string; parents: string[] }[]): string[] {
  const ordered: string[] = [];
  let left = tables;
  while (left.length > 0) {
    const ready = left.filter(({ parents }) => parents.every((parent) => ordered.includes(parent)));
    if (ready.length === 0) throw new Error("tables refer to each other in a circle");
    ordered.push(...ready.map(({ name }) => name));
    left = left.filter((table) => !ready.includes(table));
  }
  return ordered;
}
