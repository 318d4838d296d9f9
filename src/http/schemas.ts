// Shapes that several routes share. A request schema refuses what it does not know; a response schema is also the writer
// of the answer, so that a field which is not named here cannot leak. Types are derived from these, here and in the client.

import { type Static, type TSchema, Type } from "typebox";
import { usernameMaxLength } from "../username.ts";
import { uuidPattern } from "../uuid.ts";

const closed = { additionalProperties: false } as const;

/** Null or the schema. One schema with two types: fast-json-stringify writes it without trying alternatives. */
export function Nullable<T extends TSchema & { type: string }>(schema: T) {
  return Type.Unsafe<Static<T> | null>({ ...schema, type: [schema.type, "null"] });
}

/** One of a few words. */
export function Words<const W extends readonly string[]>(
  words: W,
  options: { title?: string; description?: string } = {},
) {
  return Type.Unsafe<W[number]>({ type: "string", enum: words, ...options });
}

/** Text without control characters: PostgreSQL takes no U+0000, and no name or word of ours has any of them. */
export function Line(maxLength: number, options: { description?: string } = {}) {
  return Type.String({
    minLength: 1,
    maxLength,
    pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
    ...options,
  });
}

export const Instant = Type.String({ format: "date-time", description: "UTC, ISO 8601" });
/** A time in a request, to be read with `timeOf` (request-time.ts). */
export function TimeText(meaning?: string) {
  const form = "Date, or date and time with its zone, ISO 8601";
  return Type.String({
    pattern: "^\\d{4}-\\d{2}-\\d{2}(T\\d{2}:\\d{2}(:\\d{2}(\\.\\d{1,6})?)?(Z|[+-]\\d{2}:\\d{2}))?$",
    description: meaning === undefined ? form : `${meaning}. ${form}`,
  });
}
export const Uuid = Type.String({ pattern: uuidPattern.source });
export const IdParams = Type.Object({ id: Uuid }, closed);

export const Username = Line(usernameMaxLength, {
  description: "As typed: the username or a configured alias, in any case",
});
export const DirectoryName = Line(100, {
  description: "Needed only where a name lives in more than one directory",
});

// Longer than any code with spaces and dashes in it; what is a code and what is not is decided after the lockout.
const codeMaxLength = 64;
export const Totp = Line(codeMaxLength, {
  description: "Code of the authenticator; spaces and dashes do not matter",
});
export const BackupCode = Line(codeMaxLength, { description: "Case, spaces and dashes do not matter" });

export const EnrollmentPass = Line(codeMaxLength, {
  description: "As an admin or the help desk handed it out; case, spaces and dashes do not matter",
});

/** What can be locked out. */
export const GuardedKindWord = Words(["totp", "backup-code", "enrollment-pass"], { title: "GuardedKind" });
export const MethodWord = Words(["totp", "backup-code"], { title: "Method" });

export const UserSummary = Named("UserSummary", {
  id: Type.String(),
  username: Type.String(),
  displayName: Nullable(Type.String()),
  email: Nullable(Type.String()),
  directory: Type.String(),
  groups: Type.Array(Type.String()),
});

/** Requests of calls without a body: none, or an empty object. */
export const NoBody = Type.Unsafe<null | Record<never, never>>({
  type: ["object", "null"],
  additionalProperties: false,
});

export const Nothing = Type.Null({ description: "No content" });

/** Names and values that the API hands on as they are stored. */
export const Facts = Type.Object({}, { additionalProperties: true });

/** A page's size and where it begins. */
export const pageQuery = {
  // One screen by default; 500 rows are some hundred KiB of JSON.
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, description: "50 when not given" })),
  cursor: Type.Optional(Line(3000, { description: "`nextCursor` of the page before" })),
};
export const pageLimit = 50;
export const NextCursor = Nullable(Type.String({ description: "Null on the last page" }));

/** An object that refuses other fields than its own. */
export function Closed<P extends Record<string, TSchema>>(
  properties: P,
  options: Record<string, unknown> = {},
) {
  return Type.Object(properties, { ...options, ...closed });
}

/** One with its own name (`title`) in the API description, where all uses of it become references to it. */
export function Named<P extends Record<string, TSchema>>(
  name: string,
  properties: P,
  options: Record<string, unknown> = {},
) {
  return Closed(properties, { ...options, title: name });
}
