// CSV (RFC 4180) whose cells no spreadsheet takes for formulas. Pure.

/**
 * One record with its line end. A text that a spreadsheet would run as a formula gets an apostrophe before it, which spreadsheets
 * show as nothing: what is in a directory is written by others, and `=HYPERLINK(…)` may be somebody's display name.
 */
export function csvRecord(cells: readonly (string | number | boolean | Date | null)[]): string {
  return `${cells.map(cellOf).join(",")}\r\n`;
}

// The characters that begin a formula, their full-width forms, and white space that some programs drop before they look.
const formula = /^[\s\p{Cf}]*[=+\-@\uff1d\uff0b\uff0d\uff20|]|^[\t\r\n]/u;

function cellOf(value: string | number | boolean | Date | null): string {
  if (value === null) return "";
  if (value instanceof Date) return value.toISOString();
  if (typeof value !== "string") return String(value);
  const text = formula.test(value) ? `'${value}` : value;
  return /[",\r\n;]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
