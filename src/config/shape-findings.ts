// Checks a value against the schema, part by part, and says each thing that does not fit. Knows the few kinds of value that
// schema-parts.ts makes, and no others: a validator for all of JSON Schema, compiled at each start, took longer than all else that a
// command does. A test holds it against one. Pure.

import { parseServerUrl } from "../ldap-text/server-url.ts";
import { parsePostgresUrl } from "../postgres-url.ts";
import { isFilter } from "./filter-format.ts";
import {
  isAttributeName,
  isCron,
  isTimeZone,
  looksLikeDn,
  parseAuditRetention,
  parseDuration,
  parseListenAddress,
} from "./formats.ts";
import type { KeyPath } from "./problems.ts";

/** What the check reads of a schema, in the words of JSON Schema; `durationRange`, `wanted` and `reason` are dirmfa's own. */
export interface ShapeSchema {
  readonly type?: "object" | "array" | "string" | "integer" | "number" | "boolean";
  readonly properties?: Readonly<Record<string, ShapeSchema>>;
  readonly required?: readonly string[] | undefined;
  readonly items?: ShapeSchema;
  readonly anyOf?: readonly ShapeSchema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly pattern?: string;
  readonly format?: string;
  readonly durationRange?: readonly [string, string];
  readonly default?: unknown;
  readonly description?: string;
  readonly wanted?: string;
  readonly reason?: string;
  readonly writeOnly?: boolean;
}

/** One thing that does not fit. `path` is where; `schema` what is wanted there. */
export type ShapeFinding =
  | { what: "unknown-key" | "missing-key"; path: KeyPath; schema: ShapeSchema; key: string }
  | { what: "doubled-item"; path: KeyPath; schema: ShapeSchema; value: unknown; first: number }
  | { what: keyof ShapeSchema; path: KeyPath; schema: ShapeSchema; value: unknown };

/** Writes the schema's defaults into `value` where its mappings lack a key, those inside of defaults too. */
export function fillInDefaults(schema: ShapeSchema, value: unknown): void {
  if (Array.isArray(value) && schema.items) {
    for (const item of value) fillInDefaults(schema.items, item);
  }
  if (!isMapping(value)) return;
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (!Object.hasOwn(value, name) && property.default !== undefined) {
      value[name] = structuredClone(property.default);
    }
    if (Object.hasOwn(value, name)) fillInDefaults(property, value[name]);
  }
}

/** Everything about `value` that does not fit; empty for a sound one. */
export function findingsIn(schema: ShapeSchema, value: unknown, path: KeyPath = []): ShapeFinding[] {
  const unfit = (what: keyof ShapeSchema): ShapeFinding[] => [{ what, path, schema, value }];
  if (schema.type !== undefined && !isOfType(schema.type, value)) return unfit("type");
  if (schema.enum && !schema.enum.includes(value)) return unfit("enum");
  if (schema.const !== undefined && value !== schema.const) return unfit("const");
  if (schema.anyOf) return findingsInForms(schema, schema.anyOf, value, path);
  if (typeof value === "number") return unfitWords(numberChecks, schema, value).flatMap(unfit);
  if (typeof value === "string") return unfitWords(textChecks, schema, value).flatMap(unfit);
  if (Array.isArray(value)) return findingsInList(schema, value, path);
  return isMapping(value) ? findingsInMapping(schema, value, path) : [];
}

function isOfType(type: ShapeSchema["type"], value: unknown): boolean {
  switch (type) {
    case "object":
      return isMapping(value);
    case "array":
      return Array.isArray(value);
    case "integer":
      return Number.isInteger(value);
    case "number":
      return Number.isFinite(value);
    default:
      return typeof value === type;
  }
}

/** A mapping was meant as the form that is a mapping; of anything else, one sentence about all forms is enough. */
function findingsInForms(
  schema: ShapeSchema,
  forms: readonly ShapeSchema[],
  value: unknown,
  path: KeyPath,
): ShapeFinding[] {
  const findings = forms.map((form) => findingsIn(form, value, path));
  if (findings.some((found) => found.length === 0)) return [];
  const meant = isMapping(value) ? forms.findIndex((form) => form.type === "object") : -1;
  return findings[meant] ?? [{ what: "anyOf", path, schema, value }];
}

function findingsInMapping(
  schema: ShapeSchema,
  value: Record<string, unknown>,
  path: KeyPath,
): ShapeFinding[] {
  const properties = schema.properties ?? {};
  const missing = (schema.required ?? []).filter((key) => !Object.hasOwn(value, key));
  const unknown = Object.keys(value).filter((key) => !Object.hasOwn(properties, key));
  return [
    ...missing.map((key) => ({ what: "missing-key" as const, path, schema, key })),
    ...unknown.map((key) => ({ what: "unknown-key" as const, path, schema, key })),
    ...Object.entries(properties).flatMap(([key, property]) =>
      Object.hasOwn(value, key) ? findingsIn(property, value[key], [...path, key]) : [],
    ),
  ];
}

function findingsInList(schema: ShapeSchema, list: unknown[], path: KeyPath): ShapeFinding[] {
  const { items, minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema;
  if (list.length < minItems) return [{ what: "minItems", path, schema, value: list }];
  // What is far too long is not looked at item by item.
  if (list.length > maxItems) return [{ what: "maxItems", path, schema, value: list }];
  const inItems = items
    ? list.flatMap((item, index) => findingsIn(items, item, [...path, String(index)]))
    : [];
  return schema.uniqueItems ? [...doubledItems(schema, list, path), ...inItems] : inItems;
}

function doubledItems(schema: ShapeSchema, list: unknown[], path: KeyPath): ShapeFinding[] {
  const firsts = new Map<unknown, number>();
  return list.flatMap((value, index) => {
    const first = firsts.get(value);
    if (first === undefined) firsts.set(value, index);
    return first === undefined
      ? []
      : [{ what: "doubled-item" as const, path: [...path, String(index)], schema, value, first }];
  });
}

type Checks<V> = readonly (readonly [
  word: keyof ShapeSchema,
  fits: (schema: ShapeSchema, value: V) => boolean,
])[];

function unfitWords<V>(checks: Checks<V>, schema: ShapeSchema, value: V): (keyof ShapeSchema)[] {
  return checks.flatMap(([word, fits]) => (fits(schema, value) ? [] : [word]));
}

const numberChecks: Checks<number> = [
  ["minimum", ({ minimum }, value) => minimum === undefined || value >= minimum],
  ["maximum", ({ maximum }, value) => maximum === undefined || value <= maximum],
];

// Lengths are in characters, as people count them, not in UTF-16.
const textChecks: Checks<string> = [
  ["minLength", ({ minLength }, value) => minLength === undefined || [...value].length >= minLength],
  ["maxLength", ({ maxLength }, value) => maxLength === undefined || [...value].length <= maxLength],
  ["pattern", ({ pattern }, value) => pattern === undefined || new RegExp(pattern, "u").test(value)],
  [
    "durationRange",
    ({ durationRange }, value) => durationRange === undefined || isWithin(durationRange, value),
  ],
  ["format", ({ format }, value) => format === undefined || formats[format]?.(value) === true],
];

/** A text that is no duration at all is told by its pattern. */
export function isWithin([from, to]: readonly [string, string], text: string): boolean {
  const value = parseDuration(text);
  return (
    value === undefined ||
    ((parseDuration(from) ?? 0) <= value && value <= (parseDuration(to) ?? Number.POSITIVE_INFINITY))
  );
}

/** The values of `format` in the schema. */
export const formats: Readonly<Record<string, (text: string) => boolean>> = {
  "attribute-name": isAttributeName,
  "audit-retention": (text) => parseAuditRetention(text) !== undefined,
  cron: isCron,
  "directory-url": (text) => parseServerUrl(text) !== undefined,
  "iana-time-zone": isTimeZone,
  "ldap-dn": looksLikeDn,
  "ldap-filter": isFilter,
  "listen-address": (text) => parseListenAddress(text) !== undefined,
  "postgres-url": (text) => parsePostgresUrl(text) !== undefined,
  schedule: (text) => text === "on-demand" || isCron(text),
};

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
