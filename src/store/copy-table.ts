// Reads and writes whole tables, whatever they are: rows travel as the JSON that PostgreSQL makes of them and reads again, so that
// nothing is lost on the way (microseconds, bytes, nulls). Knows no table by its name but the one that says the version.

import type { Database, Transaction } from "./database.ts";
import { rawRows } from "./raw-rows.ts";

const ours = "c.relnamespace = current_schema()::regnamespace";

/** True for a database in which nobody has made anything yet. */
export async function isEmptyDatabase(db: Database): Promise<boolean> {
  const rows = await rawRows<unknown>(db, `select from pg_class c where ${ours} limit 1`);
  return rows.length === 0;
}

/** Connections of other dirmfa processes to this database, as far as this role may see them. */
export async function countOtherProcesses(trx: Transaction): Promise<number> {
  const rows = await rawRows<{ count: number }>(
    trx,
    `select count(*)::int as count from pg_stat_activity
     where datname = current_database() and application_name = 'dirmfa' and pid <> pg_backend_pid()`,
  );
  return rows[0]?.count ?? 0;
}

/** Rows are told and compared in one form, whatever the session's settings were. */
export async function useOneForm(trx: Transaction): Promise<void> {
  await trx.raw("set local time zone 'UTC'");
  await trx.raw("set local bytea_output = 'hex'");
}

/** The tables that hold something, each with those that it refers to. Staging is left out: no run goes on in a copy. */
export async function listTables(trx: Transaction): Promise<{ name: string; parents: string[] }[]> {
  const rows = await rawRows<{ name: string; parents: string[] }>(
    trx,
    `select c.relname::text as name, array(
       select p.relname::text from pg_constraint k join pg_class p on p.oid = k.confrelid
       where k.conrelid = c.oid and k.contype = 'f' and k.confrelid <> c.oid) as parents
     from pg_class c
     where ${ours} and c.relkind = 'r' and c.relpersistence = 'p' and c.relname <> 'schema_version'
     order by 1`,
  );
  return rows;
}

/** Hands over all rows of a table as JSON texts, some at a time. */
export async function readRows(
  trx: Transaction,
  table: string,
  input: { batch: number; onRows(rows: string[]): Promise<void> },
): Promise<void> {
  await trx.raw("declare copied_rows no scroll cursor for select to_jsonb(t)::text as line from :table: t", {
    table,
  });
  for (;;) {
    const rows = await rawRows<{ line: string }>(trx, `fetch ${input.batch} from copied_rows`);
    if (rows.length === 0) break;
    await input.onRows(rows.map(({ line }) => line));
  }
  await trx.raw("close copied_rows");
}

export async function insertRows(trx: Transaction, table: string, rows: string[]): Promise<void> {
  await trx.raw(
    `insert into :table: overriding system value
     select * from jsonb_populate_recordset(cast(null as :table:), :rows::jsonb)`,
    { table, rows: `[${rows.join(",")}]` },
  );
}

export async function emptyTable(trx: Transaction, table: string): Promise<void> {
  await trx.raw("delete from :table:", { table });
}

export interface TableSum {
  rows: number;
  /** Over the content of all rows, in whatever order they are read. */
  digest: string;
}

export async function sumTable(trx: Transaction, table: string): Promise<TableSum> {
  const rows = await rawRows<TableSum>(
    trx,
    `select count(*)::int as rows, coalesce(sum(
       ('x' || substr(encode(sha256(convert_to(to_jsonb(t)::text, 'UTF8')), 'hex'), 1, 15))::bit(60)::bigint), 0)::text as digest
     from :table: t`,
    { table },
  );
  return rows[0] ?? { rows: 0, digest: "" };
}

/** Sets every sequence to where it is in the source, so that no id is given out twice. */
export async function copySequences(source: Transaction, target: Transaction): Promise<void> {
  const rows = await rawRows<{ name: string }>(
    source,
    `select c.relname::text as name from pg_class c where ${ours} and c.relkind = 'S'`,
  );
  for (const { name } of rows) {
    const state = await rawRows<{ last: string; called: boolean }>(
      source,
      "select last_value::text as last, is_called as called from :name:",
      { name },
    );
    for (const { last, called } of state) {
      await target.raw("select setval(quote_ident(:name)::regclass, :last::bigint, :called)", {
        name,
        last,
        called,
      });
    }
  }
}
