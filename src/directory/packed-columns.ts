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
  const [first] = Object.values<Values>(columns);
  return {
    rows: first?.length ?? 0,
    columns: mapColumns(columns, (values: Values) => values.join(valueSeparator)),
  };
}

/** The values of one column, as by `unpackColumns`. */
export function valuesOf<Columns>(packed: Packed<Columns>, name: keyof Columns): string[] {
  return splitColumn(packed.columns[name], packed.rows);
}

/** All columns as they were packed, with everything as text and "" where there was none. */
export function unpackColumns<Columns>(packed: Packed<Columns>): { [name in keyof Columns]: string[] } {
  return mapColumns(packed.columns, (column: string) => splitColumn(column, packed.rows));
}

/** The rows for which `keep` holds, by their number. */
export function pickRows<Columns>(packed: Packed<Columns>, keep: (row: number) => boolean): Packed<Columns> {
  const kept = Array.from({ length: packed.rows }, (_, row) => keep(row));
  const rows = kept.filter(Boolean).length;
  if (rows === packed.rows) return packed;
  const pick = (column: string) =>
    splitColumn(column, packed.rows)
      .filter((_, row) => kept[row])
      .join(valueSeparator);
  return { rows, columns: mapColumns(packed.columns, pick) };
}

// An empty string is one row without a value, or no row.
function splitColumn(column: string, rows: number): string[] {
  return rows === 0 ? [] : column.split(valueSeparator);
}

function mapColumns<Columns, From, To>(
  columns: { [name in keyof Columns]: From },
  to: (column: From) => To,
): { [name in keyof Columns]: To } {
  const mapped = Object.entries<From>(columns).map(([name, column]) => [name, to(column)]);
  // The same names with other values: Object.fromEntries cannot know that.
  return Object.fromEntries(mapped) as { [name in keyof Columns]: To };
}
