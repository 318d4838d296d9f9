// What is wrong with a configuration and where. Problems are collected, never thrown one by one, and never show a secret.

/** 1-based, as editors count. */
export interface Position {
  line: number;
  column: number;
}

export interface Problem extends Position {
  /** One sentence: where in the tree, what was found, what is wanted. */
  what: string;
}

/** The way from the top of the YAML file to a value: keys, and list positions as digits. */
export type KeyPath = readonly string[];

/** `["directories", "0", "bind"]` as people read it: `directories[0].bind`. */
export function showPath(path: KeyPath): string {
  return path
    .map((step) => (/^[0-9]+$/.test(step) ? `[${step}]` : `.${step}`))
    .join("")
    .replace(/^\./, "");
}

/** `path:line:column: what`, the form that editors and terminals turn into a link. */
export function showProblem(file: string, problem: Problem): string {
  return `${file}:${problem.line}:${problem.column}: ${problem.what}`;
}

/** In the order of the file; problems at one place keep the order in which they were found. */
export function sortProblems<P extends Position>(problems: readonly P[]): P[] {
  return problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
}

/** Text from the file as it is quoted in messages: escaped and not endless. */
export function shorten(text: string): string {
  const longest = 60; // a DN's worth; the position tells the rest
  const escaped = JSON.stringify(text).slice(1, -1);
  return escaped.length > longest ? `${escaped.slice(0, longest)}…` : escaped;
}
