// How the rows of a page travel from the listing's thread to the database: every column as one string. A string is
// copied between threads at once, where an array of a thousand strings is copied, and collected as garbage, one by one.

/** No value of a listing contains it (see decode-text.ts), nor can PostgreSQL store it. */
export const valueSeparator = "\0";

export interface Packed<Columns> {
  rows: number;
  /** The values of a column joined by `valueSeparator`. An empty value stands for none (null); no value of a listing is empty. */
  columns: { [name in keyof Columns]: string };
}

type Values = (string | boolean | null)[];

/** All columns have the same length. A boolean becomes `true` or `false`. */
export function packColumns<Columns extends { [name in keyof Columns]: Values }>(
  columns: Columns,
): Packed<Columns> {
  const all = Object.entries<Values>(columns);
  return {
    rows: all[0]?.[1].length ?? 0,
    // The same names with other values: Object.fromEntries cannot know that.
    columns: Object.fromEntries(
      all.map(([name, values]) => [name, values.join(valueSeparator)]),
    ) as Packed<Columns>["columns"],
  };
}

/** The values of one column, as by `unpackColumns`. */
export function valuesOf<Columns>(packed: Packed<Columns>, name: keyof Columns): string[] {
  return packed.rows === 0 ? [] : packed.columns[name].split(valueSeparator);
}

/** All columns as they were packed, with everything as text and "" where there was none. */
export function unpackColumns<Columns>(packed: Packed<Columns>): { [name in keyof Columns]: string[] } {
  const names = Object.keys(packed.columns) as (keyof Columns)[]; // what the type says
  return Object.fromEntries(names.map((name) => [name, valuesOf(packed, name)])) as {
    [name in keyof Columns]: string[];
  };
}

/** The rows for which `keep` holds, by their number. */
export function pickRows<Columns>(packed: Packed<Columns>, keep: (row: number) => boolean): Packed<Columns> {
  const kept = Array.from({ length: packed.rows }, (_, row) => keep(row));
  const rows = kept.filter(Boolean).length;
  if (rows === packed.rows) return packed;
  const pick = (text: string) =>
    text
      .split(valueSeparator)
      .filter((_, row) => kept[row])
      .join(valueSeparator);
  const columns = Object.entries<string>(packed.columns).map(([name, text]) => [name, pick(text)]);
  return { rows, columns: Object.fromEntries(columns) as Packed<Columns>["columns"] }; // the same names, see above
}
