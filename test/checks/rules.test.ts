// docs/rules.md is the rulebook: every citation of a rule or feature leads there, and every rule is cited by a test.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const rulebook = readFileSync(join(root, "docs/rules.md"), "utf8");
// A rule goes on over the lines that are indented below it.
const rules = [...rulebook.matchAll(/^(\d+)\. .*(?:\n {3,}.*)*/gm)].map(([text, number]) => ({
  number: Number(number),
  isBuilt: !text.includes("*Not built yet.*"),
}));
const features = [...rulebook.matchAll(/^\| F(\d+) \|/gm)].map(([, number]) => Number(number));

const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\n")
  .filter((path) => /^(src|migrations|test|scripts|docs|examples)\/.*\.(ts|md)$/.test(path))
  .filter((path) => path !== "docs/rules.md")
  .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));

/** "rule 4", "rules 1, 3 and 5", "rules 1 to 8". */
function rulesCitedIn(text: string): number[] {
  return [...text.matchAll(/\brules? (\d+(?:(?:, | and | to )\d+)*)/gi)].flatMap(([, list = ""]) => {
    const range = /^(\d+) to (\d+)$/.exec(list);
    if (!range) return list.split(/, | and /).map(Number);
    const [first, last] = [Number(range[1]), Number(range[2])];
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

function featuresCitedIn(text: string): number[] {
  return [...text.matchAll(/(?<![\w#&;/.+-])F(\d{1,2})(?![\w.-])/g)].map(([, number]) => Number(number));
}

test("rules and features are numbered without a gap", () => {
  expect(rules.map(({ number }) => number)).toEqual(rules.map((_, index) => index + 1));
  expect(features).toEqual(features.map((_, index) => index + 1));
});

test("every citation of a rule or a feature is in the rulebook", () => {
  const wrong = files.flatMap(({ path, text }) => [
    ...rulesCitedIn(text)
      .filter((number) => number < 1 || number > rules.length)
      .map((number) => `${path} cites rule ${number}`),
    ...featuresCitedIn(text)
      .filter((number) => number < 1 || number > features.length)
      .map((number) => `${path} cites F${number}`),
  ]);
  expect(wrong).toEqual([]);
});

test("tests cite every rule that is built, and none that is not", () => {
  const cited = new Set(
    files.filter(({ path }) => path.startsWith("test/")).flatMap(({ text }) => rulesCitedIn(text)),
  );
  expect(rules.filter(({ number, isBuilt }) => isBuilt !== cited.has(number))).toEqual([]);
});
