// YAML text to a tree that knows its positions. All traps of YAML are dealt with here: syntax, tabs, doubled
// keys, several documents, foreign tags, nesting and alias bombs. Pure; knows nothing of what the keys mean.

import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type Scalar,
  visit,
  type YAMLMap,
} from "yaml";
import { type KeyPath, type Position, type Problem, shorten } from "./problems.ts";

// A configuration of 1,000 directories has about half of it; more is a wrong file.
export const maxConfigBytes = 1024 * 1024;
// What stands in no text file (YAML 1.2, 5.1): control characters before U+0080, without tab and line ends.
const controlCharacter = /(?![\t\n\r\x80-\x9f])\p{Cc}/u;
// The schema is 6 deep; every level is a map or list and its pair.
const maxDepth = 32;
// Enough to share a `bind` or `tls` block among directories.
const maxAliases = 100;

export interface YamlSource {
  document: Document;
  lines: LineCounter;
  /** What stood in the file where an environment reference was replaced. */
  written: Map<Scalar, string>;
  /** Values with a reference that could not be replaced; already reported. */
  unresolved: Set<Scalar>;
}

/** A readable tree, with problems that do not stop the reading on (doubled keys), or problems alone. */
export type ParsedYaml = { source: YamlSource | undefined; problems: Problem[] };

export function parseYaml(text: string): ParsedYaml {
  const notText = whyNotText(text);
  if (notText !== undefined) return { source: undefined, problems: [notText] };
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false, // pretty messages quote the source, and that may be a password
    schema: "core", // also under a %YAML 1.1 directive, where `no` would be false
    merge: false,
    stringKeys: true,
    uniqueKeys: false, // checked below in linear time
    resolveKnownTags: false,
  });
  const syntax = [...document.errors, ...document.warnings].map((error) => ({
    ...positionAt(lines, error.pos[0]),
    what: syntaxSentences[error.code] ?? "the YAML is not well formed here",
  }));
  if (syntax.length > 0) return { source: undefined, problems: syntax };
  const contents = document.contents;
  if (!isMap(contents)) {
    const isEmpty = contents === null || (isScalar(contents) && contents.value === null);
    const what = isEmpty
      ? "the file is empty; wanted at least one section, such as `directories:`"
      : "the file is not a mapping; wanted `key: value` lines";
    return { source: undefined, problems: [{ ...positionAt(lines, offsetOf(contents)), what }] };
  }
  const { readable, problems } = checkTree(document, lines);
  return {
    source: readable ? { document, lines, written: new Map(), unresolved: new Set() } : undefined,
    problems,
  };
}

function whyNotText(text: string): Problem | undefined {
  if (text.length > maxConfigBytes) {
    return { line: 1, column: 1, what: "the file is larger than 1 MiB; this is no configuration" };
  }
  const offset = text.search(controlCharacter);
  if (offset < 0) return undefined;
  const before = text.slice(0, offset);
  const position = { line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
  return { ...position, what: "a control character; this is no text file, or a damaged one" };
}

/** Doubled keys are reported and read on; a tree too deep, or with broken or too many aliases, is not read at all. */
function checkTree(document: Document, lines: LineCounter): { readable: boolean; problems: Problem[] } {
  const problems: Problem[] = [];
  const anchors = new Set<string>();
  let aliases = 0;
  let readable = true;
  const refuse = (node: Node, what: string) => {
    readable = false;
    problems.push({ ...positionAt(lines, node.range?.[0] ?? 0), what });
    return visit.BREAK;
  };
  visit(document, {
    Node(_key, node, path) {
      if (path.length > maxDepth) return refuse(node, "nested too deeply; no setting is this deep");
      if ("anchor" in node && node.anchor !== undefined) anchors.add(node.anchor);
      if (isMap(node)) problems.push(...doubledKeys(node, lines));
      if (!isAlias(node)) return undefined;
      aliases += 1;
      if (aliases > maxAliases) return refuse(node, `more than ${maxAliases} aliases; write the values out`);
      if (!anchors.has(node.source)) return refuse(node, "an alias without an anchor before it");
      if (path.some((parent) => "anchor" in parent && parent.anchor === node.source)) {
        return refuse(node, "an alias inside its own anchor");
      }
      return undefined;
    },
  });
  return { readable, problems };
}

function doubledKeys(map: YAMLMap, lines: LineCounter): Problem[] {
  const first = new Map<string, Position>();
  const problems: Problem[] = [];
  for (const pair of map.items) {
    const key = keyOf(pair);
    const at = positionAt(lines, keyOffset(pair));
    const before = first.get(key);
    const what = `the key "${shorten(key)}" is given twice; the first is on line ${before?.line}`;
    if (before === undefined) first.set(key, at);
    else problems.push({ ...at, what });
  }
  return problems;
}

/** The tree as plain values, or a problem when its aliases multiply into more than a configuration can be. */
export function plainValue(source: YamlSource): { value: unknown } | { problem: Problem } {
  try {
    return { value: source.document.toJS({ maxAliasCount: maxAliases }) };
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    return {
      problem: { line: 1, column: 1, what: "the aliases multiply into too much; write the values out" },
    };
  }
}

/** Where the value at `path` stands; where it does not exist, where its nearest parent stands. */
export function positionOf(source: YamlSource, path: KeyPath): Position {
  return positionAt(source.lines, stepsTo(source, path).at(-1)?.offset ?? 0);
}

/** Where the key at the end of `path` stands; for a list item, where the item stands. */
export function keyPositionOf(source: YamlSource, path: KeyPath): Position {
  return positionAt(source.lines, stepsTo(source, path).at(-1)?.keyOffset ?? 0);
}

/** The scalar at `path`, aliases followed, or undefined. */
export function scalarAt(source: YamlSource, path: KeyPath): Scalar | undefined {
  const steps = stepsTo(source, path);
  const node = steps.length === path.length + 1 ? steps.at(-1)?.node : undefined;
  return isScalar(node) ? node : undefined;
}

/** True when the file itself has a value at `path`, whatever the defaults say. */
export function isWritten(source: YamlSource, path: KeyPath): boolean {
  return stepsTo(source, path).length === path.length + 1;
}

interface Step {
  node: unknown;
  offset: number;
  keyOffset: number;
}

/** The nodes from the top to `path`, as far as it exists. */
function stepsTo(source: YamlSource, path: KeyPath): Step[] {
  const top = source.document.contents;
  const steps: Step[] = [{ node: top, offset: offsetOf(top), keyOffset: offsetOf(top) }];
  for (const name of path) {
    const parent = steps.at(-1)?.node;
    const step = isMap(parent)
      ? inMap(source, parent, name)
      : isSeq(parent)
        ? stepInto(source, parent.items[Number(name)])
        : undefined;
    if (step === undefined) break;
    steps.push(step);
  }
  return steps;
}

function inMap(source: YamlSource, map: YAMLMap, name: string): Step | undefined {
  // The last of doubled keys is the one whose value counts.
  const pair = map.items.findLast((candidate) => keyOf(candidate) === name);
  if (pair === undefined) return undefined;
  const step = stepInto(source, pair.value);
  const keyAt = keyOffset(pair);
  // `key:` with nothing after it has no position in the text.
  return { node: step?.node ?? null, offset: step?.offset ?? keyAt, keyOffset: keyAt };
}

function stepInto(source: YamlSource, item: unknown): Step | undefined {
  if (item === undefined || item === null) return undefined;
  const node = isAlias(item) ? item.resolve(source.document) : item;
  return { node, offset: offsetOf(item), keyOffset: offsetOf(item) };
}

function keyOf(pair: Pair): string {
  return String(isScalar(pair.key) ? pair.key.value : pair.key);
}

function keyOffset(pair: Pair): number {
  return offsetOf(pair.key);
}

function offsetOf(node: unknown): number {
  return isMap(node) || isSeq(node) || isScalar(node) || isAlias(node) ? (node.range?.[0] ?? 0) : 0;
}

/** The keys and list positions on the way to `ancestors`' last node, as `visit` lists them. */
export function keyPathOf(ancestors: readonly unknown[]): string[] {
  return ancestors.flatMap((ancestor, index) => {
    if (isPair(ancestor)) return [keyOf(ancestor)];
    return isSeq(ancestor) ? [String(ancestor.items.indexOf(ancestors[index + 1]))] : [];
  });
}

/** Where a node of the tree stands. */
export function positionOfNode(source: YamlSource, node: Scalar): Position {
  return positionAt(source.lines, offsetOf(node));
}

function positionAt(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  // An empty text has no lines at all.
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}

// Own sentences by the parser's code: its messages quote the source.
const syntaxSentences: Readonly<Record<string, string>> = {
  BAD_ALIAS: "an alias without a name",
  BAD_DQ_ESCAPE: "an unknown \\ escape in double quotes; in single quotes a \\ stands for itself",
  BAD_INDENT: "the indentation does not fit the lines around it, or a bracket is not closed",
  BAD_SCALAR_START: "a text that starts with @ or ` must be in quotes",
  BLOCK_AS_IMPLICIT_KEY: "two `key:` on one line; a text with `: ` in it must be in quotes",
  KEY_OVER_1024_CHARS: "a key longer than 1,024 characters",
  MISSING_CHAR: "something is missing here: a closing quote, a comma, or the space after `:` or `-`",
  MULTILINE_IMPLICIT_KEY: "the `:` after this key is missing",
  MULTIPLE_DOCS: "a second document (`---`); wanted one document a file",
  NON_STRING_KEY: "a key that is not text",
  RESOURCE_EXHAUSTION: "nested too deeply; no setting is this deep",
  TAB_AS_INDENT: "a tab in the indentation; YAML wants spaces",
  TAG_RESOLVE_FAILED:
    "a tag (`!…`); only plain values are read, and a text that starts with ! must be in quotes",
  UNEXPECTED_TOKEN: "something unexpected; is a quote or a bracket closed too early, or missing?",
};
