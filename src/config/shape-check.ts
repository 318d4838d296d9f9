// A configuration's values one by one against the schema, with its defaults filled in, and what does not fit as problems in
// words. Whether values fit together is checked elsewhere (check-directories.ts, check-service.ts). Pure.

import type { Static, TSchema } from "typebox";
import { describeShapeFinding } from "./describe-shape-finding.ts";
import type { KeyPath, Problem } from "./problems.ts";
import { type ConfigFile, configSchema } from "./schema.ts";
import { fillInDefaults, findingsIn, type ShapeFinding } from "./shape-findings.ts";
import { scalarAt, type YamlSource } from "./yaml-source.ts";

// A file with more than this is not a configuration with mistakes but something else.
const maxShapeProblems = 100;

/** Fills the defaults into `value`, and gives it back when it is sound from top to bottom; else every problem. */
export function checkShape(
  source: YamlSource,
  value: unknown,
): { file: ConfigFile } | { problems: Problem[] } {
  fillInDefaults(configSchema, value);
  const findings = findingsIn(configSchema, value);
  // What has no findings is what the schema says.
  if (findings.length === 0) return { file: value as ConfigFile };
  const told = findings.filter((finding) => !isReported(source, finding));
  const problems = told.slice(0, maxShapeProblems).map((finding) => describeShapeFinding(source, finding));
  const unlisted = told.length - problems.length;
  const rest = { line: 1, column: 1, what: `${unlisted} more problems are not listed` };
  return { problems: unlisted > 0 ? [...problems, rest] : problems };
}

/** The value at `path` when it is sound in itself, so that checks of meaning run on the good parts of a bad file. */
export function soundPart<S extends TSchema>(
  value: unknown,
  path: KeyPath,
  schema: S,
): Static<S> | undefined {
  const part = valueAt(value, path);
  // What has no findings is what the schema says.
  return part !== undefined && findingsIn(schema, part).length === 0 ? (part as Static<S>) : undefined;
}

/** The value at `path`, or undefined; only own properties are followed. */
export function valueAt(value: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>((parent, name) => {
    if (typeof parent !== "object" || parent === null || !Object.hasOwn(parent, name)) return undefined;
    return Reflect.get(parent, name);
  }, value);
}

/** A reference without a variable has been reported already; that it is not a valid value is not reported as well. */
function isReported(source: YamlSource, { path }: ShapeFinding): boolean {
  const scalar = scalarAt(source, path);
  return scalar !== undefined && source.unresolved.has(scalar);
}
