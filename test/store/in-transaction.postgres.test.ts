// What two transactions in each other's way come to: both are done, one of them at its second try. Only PostgreSQL: the
// embedded database has one connection.

import { afterAll, beforeAll, expect, test } from "vitest";
import { inTransaction } from "../../src/store/in-transaction.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
  await database.db.raw("create table counts (id integer primary key, count integer not null)");
  await database.db.raw("insert into counts values (1, 0), (2, 0)");
});
afterAll(() => database.close());

test("of two that take two rows in opposite orders both are done, and each change is made once", async () => {
  const { db } = database;
  let tries = 0;
  let rowsHeld = 0;
  const bothHaveOne = Promise.withResolvers<void>();
  const raise = (ids: number[]) =>
    inTransaction(db, async (trx) => {
      tries++;
      for (const id of ids) {
        await trx("counts").where({ id }).increment("count");
        if (++rowsHeld === 2) bothHaveOne.resolve();
        await bothHaveOne.promise;
      }
      return ids;
    });
  expect(await Promise.all([raise([1, 2]), raise([2, 1])])).toEqual([
    [1, 2],
    [2, 1],
  ]);
  // PostgreSQL ends one of the two, or both where they find the deadlock at the same moment.
  expect(tries).toBeGreaterThanOrEqual(3);
  expect(await db("counts").orderBy("id").pluck("count")).toEqual([2, 2]);
});

test("a serialization failure is tried again, up to five times, and any other error is not", async () => {
  const { db } = database;
  const failing = async (sqlState: string) => {
    let tries = 0;
    const failed = inTransaction(db, async (trx) => {
      tries++;
      await trx.raw(`do $$ begin raise exception 'as told' using errcode = '${sqlState}'; end $$`);
    });
    await expect(failed).rejects.toMatchObject({ code: sqlState });
    return tries;
  };
  expect(await failing("40001")).toBe(5);
  expect(await failing("23505")).toBe(1);
});
