// Hot statements on a server that carries prepared statements, and behind a pooler that does not. What such a pooler does is made
// with PostgreSQL's own words: the server connection is another one than the driver believes, so a name is unknown or taken.

import { pino } from "pino";
import { expect, test } from "vitest";
import type { PreparedStatements } from "../../src/config/config.ts";
import { type Database, openDatabase } from "../../src/store/database.ts";
import { inTransaction } from "../../src/store/in-transaction.ts";
import { rowsOf, statementOf } from "../../src/store/prepared.ts";
import { createTestDatabase } from "../support/databases.ts";

const statement = statementOf("select :text::text || :text as doubled, :number::int as number");
const values = { text: "a", number: 1 };
const rows = [{ doubled: "aa", number: 1 }];

/** One connection, so that a test knows which one a statement is prepared on. */
async function withPool(
  preparedStatements: PreparedStatements,
  use: (db: Database, logged: string[]) => Promise<void>,
): Promise<void> {
  const { config, drop } = await createTestDatabase();
  if (config.kind !== "postgres") throw new Error("only a PostgreSQL server has poolers before it");
  const logged: string[] = [];
  const log = pino({}, { write: (line: string) => logged.push(line) });
  const { db, close } = await openDatabase(
    { ...config, poolSize: 1, preparedStatements },
    { log, owner: true },
  );
  try {
    await use(db, logged);
  } finally {
    await close();
    await drop();
  }
}

const ask = (db: Database) => rowsOf(db, statement, values);

async function preparedNames(db: Database): Promise<string[]> {
  return (await db("pg_prepared_statements").select("name")).map(({ name }) => name);
}

test("a hot statement is prepared once on a connection, by a name made of its text", async () => {
  await withPool("auto", async (db, logged) => {
    expect(await ask(db)).toEqual(rows);
    expect(await ask(db)).toEqual(rows);
    expect(await preparedNames(db)).toEqual([statement.name]);
    expect(statementOf("select 2").name).not.toBe(statement.name);
    expect(logged).toEqual([]);
  });
});

test("with off no statement is prepared", async () => {
  await withPool("off", async (db) => {
    expect(await ask(db)).toEqual(rows);
    expect(await preparedNames(db)).toEqual([]);
  });
});

test("a pooler whose server connection does not know the name is noticed once, and nothing is prepared from then on", async () => {
  await withPool("auto", async (db, logged) => {
    await ask(db);
    await db.raw("deallocate all");
    expect(await Promise.all([ask(db), ask(db)])).toEqual([rows, rows]);
    expect(await preparedNames(db)).toEqual([]);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toContain("the database carries no prepared statements");
  });
});

test("a pooler whose server connection has the name already is noticed as well", async () => {
  await withPool("auto", async (db, logged) => {
    await db.raw(`prepare ${statement.name} as select 1`);
    expect(await ask(db)).toEqual(rows);
    expect(await ask(db)).toEqual(rows);
    expect(logged).toHaveLength(1);
  });
});

test("with on such a pooler is an error", async () => {
  await withPool("on", async (db) => {
    await ask(db);
    await db.raw("deallocate all");
    await expect(ask(db)).rejects.toMatchObject({ code: "26000" });
  });
});

test("a statement whose result has another type since a migration is answered all the same", async () => {
  await withPool("auto", async (db, logged) => {
    await db.raw("create table kept (value int)");
    const read = statementOf("select value from kept");
    await db.raw("insert into kept values (7)");
    expect(await rowsOf(db, read, {})).toEqual([{ value: 7 }]);
    await db.raw("alter table kept alter value type text");
    expect(await rowsOf(db, read, {})).toEqual([{ value: "7" }]);
    expect(logged).toEqual([]);
  });
});

test("in a transaction a hot statement is sent whole, in that transaction, and never after its end", async () => {
  await withPool("auto", async (db) => {
    await db.raw("create table kept (value int)");
    const insert = statementOf("insert into kept values (:value) returning value");
    const failing = db.transaction(async (trx) => {
      expect(await rowsOf(trx, insert, { value: 1 })).toEqual([{ value: 1 }]);
      throw new Error("rolled back");
    });
    await expect(failing).rejects.toThrow("rolled back");
    expect(await db("kept").select()).toEqual([]);
    expect(await preparedNames(db)).toEqual([]);
    const ended = await inTransaction(db, async (trx) => trx);
    await expect(rowsOf(ended, insert, { value: 2 })).rejects.toThrow("the transaction is over");
  });
});
