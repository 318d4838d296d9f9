// Turns one finding of the schema check into a sentence: where, what was found, what is wanted. Never shows a value that
// the schema marks as write-only, nor one that came from the environment.

import type { ErrorObject } from "ajv";
import { closestWord } from "./closest-word.ts";
import { filterFault } from "./filter-format.ts";
import { type KeyPath, type Problem, shorten, showPath } from "./problems.ts";
import { configSchema } from "./schema.ts";
import { listSchemaKeys } from "./schema-keys.ts";
import { keyPositionOf, positionOf, scalarAt, type YamlSource } from "./yaml-source.ts";

export function describeShapeError(source: YamlSource, error: ErrorObject): Problem {
  const path = pathOfError(error);
  if (error.keyword === "additionalProperties") return unknownKey(source, error, path);
  if (error.keyword === "required") return missingKey(source, error, path);
  if (error.keyword === "uniqueItems") return doubledItem(source, error, path);
  const found = foundAt(source, error, path);
  // `key:` with nothing after it is seen best at the key.
  const isBlank = error.data === null;
  const at = isBlank ? keyPositionOf(source, path) : positionOf(source, path);
  return {
    ...at,
    what: `${showPath(path)}: found ${found}, wanted ${wantedBy(error)}${isBlank ? ", or the key left out" : ""}`,
  };
}

/** ajv names places by JSON pointer (RFC 6901). */
export function pathOfError(error: ErrorObject): string[] {
  const steps = error.instancePath.split("/").slice(1);
  return steps.map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function unknownKey(source: YamlSource, error: ErrorObject, path: KeyPath): Problem {
  const name = textOf(error.params.additionalProperty) ?? "";
  const where = path.length === 0 ? "" : ` in ${showPath(path)}`;
  const known = Object.keys(recordOf(error.parentSchema?.properties));
  return {
    ...keyPositionOf(source, [...path, name]),
    what: `unknown key "${shorten(name)}"${where}; ${suggestionFor(name, known)}`,
  };
}

function suggestionFor(name: string, known: string[]): string {
  if (name === "<<") return "merge keys are not read; write the keys out";
  const close = closestWord(name, known);
  if (close !== undefined) return `did you mean "${close}"?`;
  const elsewhere = listSchemaKeys(configSchema).find((key) => key.name === name);
  if (elsewhere !== undefined) return `it belongs at ${elsewhere.path}`;
  return `the keys here are ${known.join(", ")}`;
}

function missingKey(source: YamlSource, error: ErrorObject, path: KeyPath): Problem {
  const name = textOf(error.params.missingProperty) ?? "";
  const schema = recordOf(recordOf(error.parentSchema?.properties)[name]);
  const wanted = textOf(schema.wanted) ?? textOf(schema.description) ?? "";
  return {
    ...keyPositionOf(source, path),
    what: `${showPath(path)}: the key "${name}" is missing, wanted ${lowerFirst(wanted.replace(/\.$/, ""))}`,
  };
}

function doubledItem(source: YamlSource, error: ErrorObject, path: KeyPath): Problem {
  // ajv counts from the end: i is the later one, j the earlier.
  const [later, earlier] = [Number(error.params.i), Number(error.params.j)].toSorted((a, b) => b - a);
  const item = [...path, String(later)];
  return { ...positionOf(source, item), what: `${showPath(item)}: the same as item [${earlier}]` };
}

/** What stands in the file, as far as it may be shown. */
function foundAt(source: YamlSource, error: ErrorObject, path: KeyPath): string {
  const value: unknown = error.data;
  if (value === null) return "nothing";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object") return "a mapping";
  if (error.parentSchema?.writeOnly === true) return "a value that is not shown here";
  const scalar = scalarAt(source, path);
  const written = scalar === undefined ? undefined : source.written.get(scalar);
  if (written !== undefined) return `the text that ${shorten(withoutCredentials(written))} stands for`;
  return typeof value === "string" ? `"${shorten(withoutCredentials(value))}"` : String(value);
}

// A password in a URL where none belongs must not reach a log by way of the complaint about it.
function withoutCredentials(text: string): string {
  return text.replace(/\/\/[^/]*@/, "//…@");
}

const typeWords: Readonly<Record<string, string>> = {
  object: "a mapping of keys",
  array: "a list",
  string: "text",
  integer: "a whole number",
  number: "a number",
  boolean: "true or false",
};

function wantedBy(error: ErrorObject): string {
  const schema = recordOf(error.parentSchema);
  const because = textOf(schema.reason) === undefined ? "" : `: ${textOf(schema.reason)}`;
  switch (error.keyword) {
    case "type":
      return typeWanted(schema);
    case "enum":
      return `one of ${Array.isArray(schema.enum) ? schema.enum.join(", ") : ""}`;
    case "minimum":
    case "maximum":
      return `${schema.minimum} to ${schema.maximum}${because}`;
    case "durationRange":
      return `${Array.isArray(schema.durationRange) ? schema.durationRange.join(" to ") : ""}${because}`;
    case "minItems":
      return "at least one item";
    case "maxItems":
      return `at most ${schema.maxItems} items`;
    case "minLength":
      return "a text that is not empty";
    case "maxLength":
      return `at most ${schema.maxLength} characters`;
    case "format":
      return [schema.wanted, faultIn(error)].filter((part) => part !== undefined).join(": ");
    default:
      return textOf(schema.wanted) ?? durationWanted;
  }
}

/** What a filter of many parts has wrong is not seen at a glance; shows none of it. */
function faultIn(error: ErrorObject): string | undefined {
  const text = textOf(error.data);
  return error.params.format === "ldap-filter" && text !== undefined ? filterFault(text) : undefined;
}

// The only pattern whose schema has no words for what is wanted.
const durationWanted = "a duration such as 30s, 15m, 12h or 7d";

function typeWanted(schema: Record<string, unknown>): string {
  if (schema.type === "string" && schema.wanted !== undefined) return `text: ${schema.wanted}`;
  if (schema.durationRange !== undefined) return durationWanted;
  return typeWords[textOf(schema.type) ?? ""] ?? "something else";
}

function lowerFirst(sentence: string): string {
  return /^[A-Z][a-z]/.test(sentence) ? sentence.charAt(0).toLowerCase() + sentence.slice(1) : sentence;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
