// The schema is brought to the newest migration, or refused.

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Migration, migrateToLatest, requireCurrentSchema } from "../../src/store/migrate.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
beforeEach(async () => {
  await database.db.raw("drop schema public cascade");
  await database.db.raw("create schema public");
});
afterAll(() => database.close());

const first: Migration = {
  name: "0001_first",
  up: async (trx) => {
    await trx.raw("create table firsts (n integer not null)");
    await trx("firsts").insert({ n: 1 });
  },
};
const broken: Migration = {
  name: "0002_broken",
  up: async (trx) => {
    await trx.raw("create table seconds (n integer)");
    await trx.raw("select 1 / 0");
  },
};

test("a migrated schema is current, and migrating again does nothing", async () => {
  const { db } = database;
  await migrateToLatest(db);
  await requireCurrentSchema(db);
  expect(await migrateToLatest(db)).toEqual([]);
});

test("an empty database is refused with the command that helps", async () => {
  const { db } = database;
  await expect(requireCurrentSchema(db)).rejects.toMatchObject({
    code: "schema-too-old",
    remedy: expect.stringContaining("dirmfa migrate"),
  });
});

test("an older schema is refused with the command that helps, and migrating mends it", async () => {
  const { db } = database;
  await migrateToLatest(db, [{ name: "0001_users_and_sync", up: async () => {} }]);
  await expect(requireCurrentSchema(db)).rejects.toMatchObject({
    code: "schema-too-old",
    remedy: expect.stringContaining("dirmfa migrate"),
  });
});

test("a schema of a newer dirmfa is neither used nor migrated", async () => {
  const { db } = database;
  await migrateToLatest(db);
  await db("schema_version").update({ migration: "9999_from_the_future" });
  const refusal = { code: "schema-too-new", remedy: expect.stringContaining("newer dirmfa") };
  await expect(requireCurrentSchema(db)).rejects.toMatchObject(refusal);
  await expect(migrateToLatest(db)).rejects.toMatchObject(refusal);
});

test("a migration that fails leaves nothing behind, not even the ones before it", async () => {
  const { db } = database;
  await expect(migrateToLatest(db, [first, broken])).rejects.toMatchObject({ code: "22012" });
  expect(await db.schema.hasTable("firsts")).toBe(false);
  expect(await migrateToLatest(db, [first])).toEqual(["0001_first"]);
});

test("of eight starters at once one migrates and the others find it done", async () => {
  const { db } = database;
  const applied = await Promise.all(Array.from({ length: 8 }, () => migrateToLatest(db, [first])));
  expect(applied.filter((names) => names.length > 0)).toEqual([["0001_first"]]);
  expect(await db("firsts").pluck("n")).toEqual([1]);
});
