// What the checks of meaning share: they look at the parts of a file that are sound in themselves, and collect problems and
// warnings. So a bad file shows all of its problems at once. Pure.

import type { Static, TSchema } from "typebox";
import { type KeyPath, type Problem, showPath } from "./problems.ts";
import { soundPart, valueAt } from "./shape-check.ts";
import { keyPositionOf, positionOf, scalarAt, type YamlSource } from "./yaml-source.ts";

export interface Meaning {
  source: YamlSource;
  /** The configuration file's folder, where relative paths begin. */
  folder: string;
  problems: Problem[];
  /** What works, but will hurt. */
  warnings: Problem[];
  /** The part at `path` if it is there, defaults included, and sound in itself. */
  part<S extends TSchema>(path: KeyPath, schema: S): Static<S> | undefined;
  /** How many items the list at `path` has, sound or not. */
  lengthOf(path: KeyPath): number;
}

export function createMeaning(input: { source: YamlSource; folder: string; value: unknown }): Meaning {
  const { source, folder, value } = input;
  return {
    source,
    folder,
    problems: [],
    warnings: [],
    part: (path, schema) => soundPart(value, path, schema),
    lengthOf: (path) => {
      const list = valueAt(value, path);
      return Array.isArray(list) ? list.length : 0;
    },
  };
}

/** A problem at the value of `path`. */
export function refuse(meaning: Meaning, path: KeyPath, what: string): void {
  meaning.problems.push({ ...positionOf(meaning.source, path), what: `${showPath(path)}: ${what}` });
}

/** A problem at the key of `path`, for a key that should not be there or misses its partner. */
export function refuseKey(meaning: Meaning, path: KeyPath, what: string): void {
  meaning.problems.push({ ...keyPositionOf(meaning.source, path), what: `${showPath(path)}: ${what}` });
}

export function warn(meaning: Meaning, path: KeyPath, what: string): void {
  meaning.warnings.push({ ...positionOf(meaning.source, path), what: `${showPath(path)}: ${what}` });
}

/** The text at `path` as it stands in the file, references and all. */
export function writtenAt(meaning: Meaning, path: KeyPath): string | undefined {
  const scalar = scalarAt(meaning.source, path);
  if (scalar === undefined || typeof scalar.value !== "string") return undefined;
  return meaning.source.written.get(scalar) ?? scalar.value;
}

/** Refuses every item of `list` whose `key` has a value that an earlier item has; shows no value. */
export function refuseDoubled<S extends TSchema>(
  meaning: Meaning,
  list: KeyPath,
  key: string,
  schema: S,
): void {
  const first = new Map<unknown, number>();
  for (let index = 0; index < meaning.lengthOf(list); index += 1) {
    const path = [...list, String(index), key];
    const value = meaning.part(path, schema);
    if (value === undefined) continue;
    const before = first.get(value);
    if (before === undefined) first.set(value, index);
    else refuse(meaning, path, `the same as ${showPath([...list, String(before), key])}; each needs its own`);
  }
}
