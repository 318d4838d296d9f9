// Checks a configuration's values one by one against the schema, and fills in its defaults. Whether values fit
// together is checked elsewhere (check-directories.ts, check-service.ts). Pure.

import { Ajv, type ErrorObject } from "ajv";
import type { Static, TSchema } from "typebox";
import { parseServerUrl } from "../ldap-text/server-url.ts";
import { describeShapeError, pathOfError } from "./describe-shape-error.ts";
import { isFilter } from "./filter-format.ts";
import {
  isAttributeName,
  isCron,
  isTimeZone,
  looksLikeDn,
  parseAuditRetention,
  parseDuration,
  parseListenAddress,
  parsePostgresUrl,
} from "./formats.ts";
import type { KeyPath, Problem } from "./problems.ts";
import { type ConfigFile, configSchema } from "./schema.ts";
import { scalarAt, type YamlSource } from "./yaml-source.ts";

// A file with more than this is not a configuration with mistakes but something else.
const maxShapeProblems = 100;

export interface ShapeCheck {
  /** The value with defaults filled in, when it is sound from top to bottom; else every problem. */
  check(source: YamlSource, value: unknown): { file: ConfigFile } | { problems: Problem[] };
  /** The value at `path` when it is sound in itself, so that checks of meaning run on the good parts of a bad file. */
  soundPart<S extends TSchema>(value: unknown, path: KeyPath, schema: S): Static<S> | undefined;
}

/** What is returned keeps the compiled schemas: make one for each file, not one for each value. */
export function createShapeCheck(): ShapeCheck {
  const whole = createAjv({ useDefaults: true });
  // Parts come from a value whose defaults are filled in already.
  const parts = createAjv({ useDefaults: false });
  return {
    check(source, value) {
      if (whole.validate<ConfigFile>(configSchema, value)) return { file: value };
      const errors = withoutUnionNoise(whole.errors ?? []).filter((error) => !isReported(source, error));
      const problems = errors.slice(0, maxShapeProblems).map((error) => describeShapeError(source, error));
      const unlisted = errors.length - problems.length;
      const rest = { line: 1, column: 1, what: `${unlisted} more problems are not listed` };
      return { problems: unlisted > 0 ? [...problems, rest] : problems };
    },
    soundPart(value, path, schema) {
      const part = valueAt(value, path);
      return part !== undefined && parts.validate<Static<typeof schema>>(schema, part) ? part : undefined;
    },
  };
}

function createAjv(options: { useDefaults: boolean }): Ajv {
  const ajv = new Ajv({
    allErrors: true,
    verbose: true, // errors bring their schema, which has the words
    // Checking the schema itself and polishing the compiled code take longer than the rest of the start; a test does the former.
    meta: false,
    validateSchema: false,
    code: { optimize: false },
    ...options,
  });
  ajv.addVocabulary(["wanted", "reason"]);
  ajv.addKeyword({
    keyword: "durationRange",
    type: "string",
    schemaType: "array",
    // A text that is no duration at all is told by its pattern.
    validate: ([from, to]: [string, string], text: string) =>
      isBetween(parseDuration(from), parseDuration(text), parseDuration(to)),
  });
  ajv.addFormat("attribute-name", isAttributeName);
  ajv.addFormat("audit-retention", (text) => parseAuditRetention(text) !== undefined);
  ajv.addFormat("directory-url", (text) => parseServerUrl(text) !== undefined);
  ajv.addFormat("iana-time-zone", isTimeZone);
  ajv.addFormat("ldap-dn", looksLikeDn);
  ajv.addFormat("ldap-filter", isFilter);
  ajv.addFormat("listen-address", (text) => parseListenAddress(text) !== undefined);
  ajv.addFormat("postgres-url", (text) => parsePostgresUrl(text) !== undefined);
  ajv.addFormat("cron", isCron);
  ajv.addFormat("schedule", (text) => text === "on-demand" || isCron(text));
  return ajv;
}

function isBetween(from: number | undefined, value: number | undefined, to: number | undefined): boolean {
  return value === undefined || ((from ?? 0) <= value && value <= (to ?? 0));
}

/** The value at `path`, or undefined; only own properties are followed. */
export function valueAt(value: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>((parent, name) => {
    if (typeof parent !== "object" || parent === null || !Object.hasOwn(parent, name)) return undefined;
    return Reflect.get(parent, name);
  }, value);
}

/** A reference without a variable has been reported already; that it is not a valid value is not reported as well. */
function isReported(source: YamlSource, error: ErrorObject): boolean {
  const scalar = scalarAt(source, pathOfError(error));
  return scalar !== undefined && source.unresolved.has(scalar);
}

/**
 * A value that fits none of several forms has errors for each of them. A mapping was meant as the form that is a mapping,
 * so the word's errors go; for anything else, one sentence about all forms is enough.
 */
function withoutUnionNoise(errors: ErrorObject[]): ErrorObject[] {
  const unions = errors.filter((error) => error.keyword === "anyOf");
  return errors.filter((error) => {
    if (error.keyword === "anyOf") return !isMapping(error.data);
    const union = unions.find((candidate) => error.schemaPath.startsWith(`${candidate.schemaPath}/`));
    if (union === undefined) return true;
    const isOfWord = error.instancePath === union.instancePath && ["type", "const"].includes(error.keyword);
    return isMapping(union.data) && !isOfWord;
  });
}

function isMapping(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
