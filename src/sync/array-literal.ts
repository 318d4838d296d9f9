// Writes a packed column as a PostgreSQL array. Pure, and quick: a page takes a few replacements in one string, where an array of a
// thousand values would have to be quoted one by one.

import { valueSeparator } from "../directory/packed-columns.ts";

/**
 * The text of a one-dimensional array (PostgreSQL manual, 8.15.6 "Array Input and Output Syntax") with the values of a
 * column of `rows` rows; an empty value is null.
 */
export function arrayLiteral(column: string, rows: number): string {
  if (rows === 0) return "{}";
  const quoted = column.replace(/["\\]/g, "\\$&").replaceAll(valueSeparator, '","');
  // Within a value every quote follows a backslash, so two quotes in a row behind a brace or comma are an empty value.
  return `{"${quoted}"}`.replace(/(?<=[{,])""(?=[,}])/g, "null");
}
