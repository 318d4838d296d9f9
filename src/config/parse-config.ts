// Text and environment to a checked configuration file, or to every problem in it at once. Pure: reads no files; it names
// those that the configuration refers to, for load-config.ts to read.

import { dirname, resolve } from "node:path";
import { checkDirectories } from "./check-directories.ts";
import { checkNotices } from "./check-notices.ts";
import { checkService } from "./check-service.ts";
import { type Environment, expandReferences } from "./env-references.ts";
import { createMeaning } from "./meaning.ts";
import { type KeyPath, type Position, type Problem, showPath, sortProblems } from "./problems.ts";
import type { ConfigFile } from "./schema.ts";
import { checkShape, valueAt } from "./shape-check.ts";
import { parseYaml, plainValue, positionOf, scalarAt, type YamlSource } from "./yaml-source.ts";

export interface ParsedConfig {
  /** There only when there are no problems. */
  file: ConfigFile | undefined;
  /** In the order of the file. */
  problems: Problem[];
  /** What works, but will hurt. */
  warnings: Problem[];
  /** Files to read, also those of a file with problems: theirs can be told at the same time. */
  fileReferences: FileReference[];
}

export type FileContent = "secret" | "certificates" | "private-key" | "webhook-key" | "notice-texts";

export interface FileReference extends Position {
  /** `directories[0].bind.passwordFile` */
  key: string;
  content: FileContent;
  /** Absolute. */
  path: string;
}

export interface ConfigText {
  text: string;
  /** Absolute path of the file that the text is from. */
  path: string;
  env: Environment;
}

/** Never throws for anything that can stand in `text` or `env`. */
export function parseConfig({ text, path, env }: ConfigText): ParsedConfig {
  const yaml = parseYaml(text);
  if (yaml.source === undefined) return onlyProblems(yaml.problems);
  const source = yaml.source;
  const problems = [...yaml.problems, ...expandReferences(source, env)];
  const plain = plainValue(source);
  if ("problem" in plain) return onlyProblems([...problems, plain.problem]);
  const { value } = plain;
  const checked = checkShape(source, value);
  const meaning = createMeaning({ source, folder: dirname(path), value });
  checkService(meaning);
  checkDirectories(meaning);
  checkNotices(meaning);
  problems.push(...("problems" in checked ? checked.problems : []), ...meaning.problems);
  return {
    file: "file" in checked && problems.length === 0 ? checked.file : undefined,
    problems: sortProblems(problems),
    warnings: sortProblems(meaning.warnings),
    fileReferences: fileReferencesIn(source, value, dirname(path)),
  };
}

function onlyProblems(problems: Problem[]): ParsedConfig {
  return { file: undefined, problems: sortProblems(problems), warnings: [], fileReferences: [] };
}

// Where the schema has file names, and what is in the files.
const fileKeys: readonly (readonly [FileContent, KeyPath])[] = [
  ["secret", ["database", "urlFile"]],
  ["certificates", ["http", "tls", "certFile"]],
  ["private-key", ["http", "tls", "keyFile"]],
  ["certificates", ["http", "tls", "clientCaFile"]],
  ["certificates", ["console", "tls", "certFile"]],
  ["private-key", ["console", "tls", "keyFile"]],
  ["secret", ["audit", "stream", "tokenFile"]],
  ["certificates", ["audit", "stream", "caFile"]],
  ["certificates", ["notices", "mail", "tls", "caFile"]],
  ["secret", ["notices", "mail", "passwordFile"]],
  ["notice-texts", ["notices", "mail", "textsFile"]],
  ["webhook-key", ["notices", "admins", "webhook", "keyFile"]],
  ["certificates", ["notices", "admins", "webhook", "caFile"]],
];

const directoryFileKeys: readonly (readonly [FileContent, KeyPath])[] = [
  ["certificates", ["tls", "caFile"]],
  ["secret", ["bind", "passwordFile"]],
];

function fileReferencesIn(source: YamlSource, value: unknown, folder: string): FileReference[] {
  const directories = valueAt(value, ["directories"]);
  const count = Array.isArray(directories) ? directories.length : 0;
  const inDirectories = Array.from({ length: count }, (_, index) =>
    directoryFileKeys.map(([content, path]) => [content, ["directories", String(index), ...path]] as const),
  );
  return [...fileKeys, ...inDirectories.flat()].flatMap(([content, path]) => {
    const name = valueAt(value, path);
    const scalar = scalarAt(source, path);
    if (typeof name !== "string" || name === "" || scalar === undefined || source.unresolved.has(scalar))
      return [];
    return [{ ...positionOf(source, path), key: showPath(path), content, path: resolve(folder, name) }];
  });
}
