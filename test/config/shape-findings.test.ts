// The check of the shape against a validator for all of JSON Schema, with the schema as editors get it: both must take the same values
// for sound, or an editor would say something else than the start.

import { readFileSync } from "node:fs";
import { Ajv } from "ajv";
import fc from "fast-check";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { configSchema } from "../../src/config/schema.ts";
import {
  fillInDefaults,
  findingsIn,
  formats,
  isWithin,
  type ShapeSchema,
} from "../../src/config/shape-findings.ts";

const validator = new Ajv({ allErrors: true, useDefaults: true, strict: false, logger: false });
for (const [name, isGood] of Object.entries(formats)) validator.addFormat(name, isGood);
validator.addKeyword({ keyword: "durationRange", type: "string", validate: isWithin });
const validate = validator.compile(configSchema);

const example: unknown = parse(readFileSync("config/example.yaml", "utf8"));

interface Spot {
  path: string[];
  schema: ShapeSchema;
}

/** Every place where `value` has something, with the schema of each form that it may have there. */
function spotsIn(schema: ShapeSchema, value: unknown, path: string[] = []): Spot[] {
  const forms = schema.anyOf ?? [];
  const inForms = forms.flatMap((form) => spotsIn(form, value, path));
  if (Array.isArray(value) && schema.items) {
    const { items } = schema;
    const inItems = value.flatMap((item, index) => spotsIn(items, item, [...path, String(index)]));
    return [{ path, schema }, ...inForms, ...inItems];
  }
  const properties = Object.entries(schema.properties ?? {});
  const inProperties = properties.flatMap(([name, property]) =>
    spotsIn(property, Reflect.get(Object(value), name), [...path, name]),
  );
  return [{ path, schema }, ...inForms, ...inProperties];
}

/** Values at the edges of what the schema takes, and wrong ones. */
function edgesOf({
  minimum = 0,
  maximum = 0,
  minLength = 0,
  maxLength = 0,
  maxItems = 0,
  ...schema
}: ShapeSchema) {
  const texts = [minLength - 1, minLength, maxLength, maxLength + 1].filter((length) => length >= 0);
  const items = [schema.items?.default, ..."ab", "a", {}, null, 1];
  return [
    ...[minimum, maximum].flatMap((edge) => [edge - 1, edge - 0.5, edge, edge + 0.5, edge + 1]),
    ...texts.flatMap((length) => ["a".repeat(length), "\u{1f511}".repeat(length)]),
    ...(schema.durationRange ?? []).flatMap((edge) => [edge, `1${edge}`, edge.replace(/^./, "")]),
    ...(schema.enum ?? []),
    ...["on-demand", "* * * * *", "30d", "dc=a", "(a=b)", "127.0.0.1:1", "postgres://a/b", "uid"],
    ...["ldaps://h", "Europe/Vienna", "forever", "29d", "anonymous", "0".repeat(64), "name"],
    ...[[], {}, items, items.slice(1, 3), Array.from({ length: maxItems + 1 }, (_, index) => `${index}`)],
    ...[null, true, Number.NaN, Number.POSITIVE_INFINITY, schema.const, schema.default],
  ].filter((value) => value !== undefined);
}

/** `value` with `put` at the path; with nothing there when `put` is undefined. */
function changed(value: unknown, path: string[], put: unknown): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return put;
  const copy = Array.isArray(value) ? [...value] : { ...Object(value) };
  const inside = changed(copy[name], rest, put);
  if (inside !== undefined) copy[name] = inside;
  else if (Array.isArray(copy)) copy.splice(Number(name), 1);
  else delete copy[name];
  return copy;
}

/** Both verdicts, and what both made of the defaults. */
function verdictsOn(value: unknown) {
  const ours = structuredClone(value);
  fillInDefaults(configSchema, ours);
  const theirs = structuredClone(value);
  const sound = validate(theirs);
  return { ours: findingsIn(configSchema, ours).length === 0, theirs: sound, filled: { ours, theirs } };
}

test("the example is sound, with the same defaults", () => {
  const { ours, theirs, filled } = verdictsOn(example);
  expect({ ours, theirs }).toEqual({ ours: true, theirs: true });
  expect(filled.ours).toEqual(filled.theirs);
});

test("every place of the example with every value at an edge is judged alike", () => {
  const differing = spotsIn(configSchema, example).flatMap(({ path, schema }) =>
    [...edgesOf(schema), undefined]
      .filter((edge) => {
        const { ours, theirs } = verdictsOn(changed(example, path, edge));
        return ours !== theirs;
      })
      .map((edge) => `${path.join(".")}: ${JSON.stringify(edge)}`),
  );
  expect(differing).toEqual([]);
});

test("any values at any places are judged alike, and get the same defaults where they are sound", () => {
  const spots = spotsIn(configSchema, example);
  const change = fc
    .constantFrom(...spots)
    .chain(({ path, schema }) =>
      fc.record({ path: fc.constant(path), put: fc.constantFrom(...edgesOf(schema)) }),
    );
  fc.assert(
    fc.property(
      fc.array(change, { maxLength: 4 }),
      fc.subarray(Object.keys(Object(example))),
      (changes, kept) => {
        const some = Object.fromEntries(kept.map((key) => [key, Reflect.get(Object(example), key)]));
        const value = changes.reduce((before: unknown, { path, put }) => changed(before, path, put), some);
        const { ours, theirs, filled } = verdictsOn(value);
        expect(ours).toBe(theirs);
        if (ours) expect(filled.ours).toEqual(filled.theirs);
      },
    ),
    { numRuns: 1_000 },
  );
});

test("a doubled item is told with the first one, each", () => {
  const schema: ShapeSchema = { type: "array", uniqueItems: true };
  expect(findingsIn(schema, ["a", "b", "a", "b", "a"])).toMatchObject([
    { what: "doubled-item", path: ["2"], first: 0 },
    { what: "doubled-item", path: ["3"], first: 1 },
    { what: "doubled-item", path: ["4"], first: 0 },
  ]);
});
