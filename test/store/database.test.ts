// What the database handle does on both engines, and which errors mean that the database is away.

import { afterAll, beforeAll, expect, test } from "vitest";
import { isDatabaseUnavailable } from "../../src/store/database-errors.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
  await database.db.raw(
    "create table numbers (n bigint not null, word text, constraint numbers_pkey primary key (n))",
  );
});
afterAll(() => database.close());

async function errorOf(promise: PromiseLike<unknown>): Promise<unknown> {
  return await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

test("values arrive as the same types on both engines", async () => {
  const result = await database.db.raw(
    `select 9007199254740993::bigint as big, 1.10::numeric as decimal, '\\x00ff'::bytea as bytes, array['a', null] as texts,
            '2026-01-02T03:04:05.678Z'::timestamptz as at, '{"a": [1]}'::jsonb as json, 7::integer as small, true as yes`,
  );
  expect(result.rows).toEqual([
    {
      big: "9007199254740993",
      decimal: "1.10",
      bytes: Buffer.from([0, 255]),
      texts: ["a", null],
      at: new Date("2026-01-02T03:04:05.678Z"),
      json: { a: [1] },
      small: 7,
      yes: true,
    },
  ]);
});

test("the builder counts changed rows as numbers", async () => {
  await database.db("numbers").insert([{ n: 1 }, { n: 2 }]);
  const both = () => database.db("numbers").whereIn("n", [1, 2]);
  expect(await both().update({ word: "x" })).toBe(2);
  expect(await both().delete()).toBe(2);
});

test("a server's error keeps its code and constraint, and its message holds no stored value", async () => {
  await database.db("numbers").insert({ n: 10, word: "first" });
  const error = await errorOf(
    database.db("numbers").insert({ n: 10, word: "word-that-is-nobodys-business" }),
  );
  expect(error).toMatchObject({ code: "23505", constraint: "numbers_pkey" });
  expect(String(error)).not.toContain("nobodys-business");
  expect(isDatabaseUnavailable(error)).toBe(false);
});

test("a transaction is rolled back whole when it throws", async () => {
  const error = await errorOf(
    database.db.transaction(async (trx) => {
      await trx("numbers").insert({ n: 20 });
      throw new Error("changed my mind");
    }),
  );
  expect(error).toMatchObject({ message: "changed my mind" });
  expect(await database.db("numbers").where({ n: 20 })).toEqual([]);
});

test("a savepoint that fails leaves the transaction around it usable", async () => {
  await database.db.transaction(async (trx) => {
    await trx("numbers").insert({ n: 30 });
    await errorOf(trx.transaction((inner) => inner("numbers").insert({ n: 30 })));
    await trx("numbers").insert({ n: 31 });
  });
  expect(await database.db("numbers").whereIn("n", [30, 31]).pluck("n")).toEqual(["30", "31"]);
});

test("a statement may carry ten megabytes of parameters", async () => {
  const texts = Array.from({ length: 10_000 }, (_, i) => `${i}-`.padEnd(1_024, "ü"));
  const result = await database.db.raw(
    "select count(*)::integer as count, max(octet_length(t)) as longest from unnest(cast(:texts as text[])) as t",
    { texts },
  );
  expect(result.rows).toEqual([{ count: 10_000, longest: 2_046 }]);
});

test("an answer may be ten megabytes long", async () => {
  const result = await database.db.raw("select repeat('é', 1000) as t from generate_series(1, 5000)");
  expect(result.rows).toHaveLength(5_000);
  expect(result.rows[4_999].t).toHaveLength(1_000);
});

test("many statements at once all get their own answers", async () => {
  const asked = Array.from({ length: 200 }, (_, i) => i);
  const answers = await Promise.all(
    asked.map(async (i) => (await database.db.raw("select cast(? as integer) as i", [i])).rows[0].i),
  );
  expect(answers).toEqual(asked);
});

test("a closed database rejects", async () => {
  const other = await openTestDatabase();
  await other.close();
  expect(await errorOf(other.db.raw("select 1"))).toBeInstanceOf(Error);
});
