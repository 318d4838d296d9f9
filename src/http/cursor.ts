// Where the next page of a list begins: the key of the last row, as text that callers hand back without reading it.
// Not a secret and not signed: a made-up cursor only begins a page somewhere else.

import { uuidPattern } from "../uuid.ts";
import { ProblemAnswer } from "./problems.ts";

export type CursorPart = "text" | "uuid" | "time" | "number" | "ranges";

const forms: Readonly<Record<CursorPart, (part: string) => boolean>> = {
  // PostgreSQL takes no text with U+0000.
  text: (part) => part !== "" && part.length <= 2048 && !part.includes("\0"),
  uuid: (part) => uuidPattern.test(part),
  time: (part) =>
    /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/.test(part) && !Number.isNaN(Date.parse(part)),
  number: (part) => /^\d{1,18}$/.test(part), // any of them fits a bigint
  ranges: (part) => /^(-|\d{1,18}-\d{1,18}(,\d{1,18}-\d{1,18}){0,99})$/.test(part),
};

/** `nextCursor` of a page: null when it was the last one, which is a page that is not full. */
export function nextCursorOf<T>(
  rows: readonly T[],
  limit: number,
  keyOf: (last: T) => readonly string[],
): string | null {
  const last = rows.at(-1);
  if (last === undefined || rows.length < limit) return null;
  return cursorOf(keyOf(last));
}

export function cursorOf(key: readonly string[]): string {
  return Buffer.from(JSON.stringify(key)).toString("base64url");
}

/** The key in a cursor, one text for each part. Throws a ProblemAnswer for one that is not of this form. */
export function parseCursor(cursor: string, parts: readonly CursorPart[]): string[] {
  const values = jsonOf(Buffer.from(cursor, "base64url").toString());
  const isKey =
    Array.isArray(values) &&
    values.length === parts.length &&
    parts.every((part, index) => typeof values[index] === "string" && forms[part](values[index]));
  if (!isKey) {
    throw new ProblemAnswer({
      code: "invalid-request",
      detail: 'The query\'s field "cursor" must be the nextCursor of a page of this list.',
      members: { field: "cursor" },
    });
  }
  return values;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
