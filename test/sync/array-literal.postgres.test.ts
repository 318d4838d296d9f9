// What a packed column becomes in PostgreSQL: the very values that were packed, whatever characters they hold.

import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packColumns, pickRows, unpackColumns, valuesOf } from "../../src/directory/packed-columns.ts";
import { arrayLiteral } from "../../src/sync/array-literal.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

async function stored(values: (string | null)[]): Promise<unknown[]> {
  const { rows, columns } = packColumns({ values });
  const answer = await database.db.raw("select :literal::text[] as values", {
    literal: arrayLiteral(columns.values, rows),
  });
  return answer.rows[0].values;
}

// No value of a listing holds a NUL or is empty, and text that came as UTF-8 has no half characters.
const listed = fc
  .string({
    unit: fc.oneof(fc.constantFrom(..."\"\\,{} '\n\u0001"), fc.string({ unit: "grapheme", maxLength: 3 })),
  })
  .filter((text) => text !== "" && !text.includes("\0") && text.isWellFormed());
const column = fc.array(fc.option(listed), { maxLength: 30 });

test.each([
  [[]],
  [[null]],
  [[null, null]],
  [['"', '""', '\\"', "\\", "\\\\"]],
  [['a,"",b', null, '{"",""}', '",', ',"']],
  [["null", "NULL", null]],
  [["{}", "{", "}", ",", " ", "\n"]],
])("%j", async (values) => {
  expect(await stored(values)).toEqual(values);
});

test("any text comes back as it was", async () => {
  await fc.assert(
    fc.asyncProperty(column, async (values) => {
      expect(await stored(values)).toEqual(values);
    }),
  );
});

test("rows that are picked keep their order and their values in every column", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(listed, fc.option(listed), fc.boolean())),
      fc.integer({ min: 1, max: 5 }),
      (rows, n) => {
        const packed = packColumns({
          names: rows.map(([name]) => name),
          emails: rows.map(([, email]) => email),
          disabled: rows.map(([, , disabled]) => disabled),
        });
        const picked = pickRows(packed, (row) => row % n === 0);
        const kept = rows.filter((_, row) => row % n === 0);
        expect(picked.rows).toBe(kept.length);
        expect(unpackColumns(picked)).toEqual({
          names: kept.map(([name]) => name),
          emails: kept.map(([, email]) => email ?? ""),
          disabled: kept.map(([, , disabled]) => String(disabled)),
        });
        expect(valuesOf(packed, "names")).toEqual(rows.map(([name]) => name));
      },
    ),
  );
});
