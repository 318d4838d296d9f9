// Turns one finding of the schema check into a sentence: where, what was found, what is wanted. Never shows a value that
// the schema marks as write-only, nor one that came from the environment.

import { closestWord } from "./closest-word.ts";
import { filterFault } from "./filter-format.ts";
import { type Problem, shorten, showPath } from "./problems.ts";
import { configSchema } from "./schema.ts";
import { listSchemaKeys } from "./schema-keys.ts";
import type { ShapeFinding, ShapeSchema } from "./shape-findings.ts";
import { keyPositionOf, positionOf, scalarAt, type YamlSource } from "./yaml-source.ts";

export function describeShapeFinding(source: YamlSource, finding: ShapeFinding): Problem {
  switch (finding.what) {
    case "unknown-key":
      return unknownKey(source, finding);
    case "missing-key":
      return missingKey(source, finding);
    case "doubled-item": {
      const { path, first } = finding;
      return { ...positionOf(source, path), what: `${showPath(path)}: the same as item [${first}]` };
    }
    default:
      return unfitValue(source, finding);
  }
}

type KeyFinding = Extract<ShapeFinding, { what: "unknown-key" | "missing-key" }>;
type ValueFinding = Extract<ShapeFinding, { what: keyof ShapeSchema }>;

function unfitValue(source: YamlSource, finding: ValueFinding): Problem {
  const { path, value } = finding;
  // `key:` with nothing after it is seen best at the key.
  const isBlank = value === null;
  const at = isBlank ? keyPositionOf(source, path) : positionOf(source, path);
  return {
    ...at,
    what: `${showPath(path)}: found ${foundAt(source, finding)}, wanted ${wantedBy(finding)}${isBlank ? ", or the key left out" : ""}`,
  };
}

function unknownKey(source: YamlSource, { path, schema, key }: KeyFinding): Problem {
  const where = path.length === 0 ? "" : ` in ${showPath(path)}`;
  const known = Object.keys(schema.properties ?? {});
  return {
    ...keyPositionOf(source, [...path, key]),
    what: `unknown key "${shorten(key)}"${where}; ${suggestionFor(key, known)}`,
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

function missingKey(source: YamlSource, { path, schema, key }: KeyFinding): Problem {
  const { wanted, description = "" } = schema.properties?.[key] ?? {};
  return {
    ...keyPositionOf(source, path),
    what: `${showPath(path)}: the key "${key}" is missing, wanted ${lowerFirst((wanted ?? description).replace(/\.$/, ""))}`,
  };
}

/** What stands in the file, as far as it may be shown. */
function foundAt(source: YamlSource, { path, schema, value }: ValueFinding): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object") return "a mapping";
  if (schema.writeOnly === true) return "a value that is not shown here";
  const scalar = scalarAt(source, path);
  const written = scalar === undefined ? undefined : source.written.get(scalar);
  if (written !== undefined) return `the text that ${shorten(withoutCredentials(written))} stands for`;
  return typeof value === "string" ? `"${shorten(withoutCredentials(value))}"` : String(value);
}

// A password in a URL where none belongs must not reach a log by way of the complaint about it.
function withoutCredentials(text: string): string {
  return text.replace(/\/\/[^/]*@/, "//…@");
}

const typeWords: Readonly<Record<NonNullable<ShapeSchema["type"]>, string>> = {
  object: "a mapping of keys",
  array: "a list",
  string: "text",
  integer: "a whole number",
  number: "a number",
  boolean: "true or false",
};

function wantedBy({ what, schema, value }: ValueFinding): string {
  const because = schema.reason === undefined ? "" : `: ${schema.reason}`;
  switch (what) {
    case "type":
      return typeWanted(schema);
    case "enum":
      return `one of ${(schema.enum ?? []).join(", ")}`;
    case "minimum":
    case "maximum":
      return `${schema.minimum} to ${schema.maximum}${because}`;
    case "durationRange":
      return `${(schema.durationRange ?? []).join(" to ")}${because}`;
    case "minItems":
      return "at least one item";
    case "maxItems":
      return `at most ${schema.maxItems} items`;
    case "minLength":
      return "a text that is not empty";
    case "maxLength":
      return `at most ${schema.maxLength} characters`;
    case "format":
      return [schema.wanted, faultIn(schema, value)].filter((part) => part !== undefined).join(": ");
    default:
      return schema.wanted ?? durationWanted;
  }
}

/** What a filter of many parts has wrong is not seen at a glance; shows none of it. */
function faultIn(schema: ShapeSchema, value: unknown): string | undefined {
  return schema.format === "ldap-filter" && typeof value === "string" ? filterFault(value) : undefined;
}

// The only pattern whose schema has no words for what is wanted.
const durationWanted = "a duration such as 30s, 15m, 12h or 7d";

function typeWanted({ type, wanted, durationRange }: ShapeSchema): string {
  if (type === "string" && wanted !== undefined) return `text: ${wanted}`;
  if (durationRange !== undefined) return durationWanted;
  return type === undefined ? "something else" : typeWords[type];
}

function lowerFirst(sentence: string): string {
  return /^[A-Z][a-z]/.test(sentence) ? sentence.charAt(0).toLowerCase() + sentence.slice(1) : sentence;
}
