import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

test("bigint arrives as text, so that no digit is lost", async () => {
  const result = await database.db.raw("select 9007199254740993::bigint as big");
  expect(result.rows).toEqual([{ big: "9007199254740993" }]);
});
