// CSV as spreadsheets and programs read it, with cells that somebody wrote to be run.

import fc from "fast-check";
import { expect, test } from "vitest";
import { csvRecord } from "../src/csv.ts";

test("cells are joined, and quoted where RFC 4180 wants it", () => {
  expect(csvRecord(["a", 1, true, null, new Date(0)])).toBe("a,1,true,,1970-01-01T00:00:00.000Z\r\n");
  expect(csvRecord(['say "hi"', "a,b", "two\nlines", " spaced"])).toBe(
    '"say ""hi""","a,b","two\nlines"," spaced"\r\n',
  );
});

test.each([
  '=HYPERLINK("http://evil")',
  "+1",
  "-1",
  "@SUM(A1)",
  "\t=1",
  "\r=1",
  "\n=1",
  " =1",
  "\u00a0=1",
  "\u200b=1",
  "\ufeff=1",
  "\uff1d1",
  "\uff0b1",
  "\uff0d1",
  "\uff201",
])("a cell %j is no formula", (cell) => {
  expect(csvRecord([cell])).toMatch(/^"?'/);
});

/** As RFC 4180 reads a record. */
function cellsOf(record: string): string[] {
  const cells: string[] = [];
  let rest = `,${record.slice(0, -2)}`;
  while (rest !== "") {
    const [whole = "", quoted, bare = ""] = /^,(?:"((?:[^"]|"")*)"|([^",]*))/.exec(rest) ?? [];
    cells.push(quoted?.replaceAll('""', '"') ?? bare);
    if (whole === "") throw new Error(`no cell: ${rest}`);
    rest = rest.slice(whole.length);
  }
  return cells;
}

test("whatever the cells are, a record is read back as it was, but for the apostrophe", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 5 }), (cells) => {
      const read = cellsOf(csvRecord(cells));
      expect(
        read.map((cell, index) => (cells[index]?.startsWith("'") ? cell : cell.replace(/^'/, ""))),
      ).toEqual(cells);
    }),
  );
});
