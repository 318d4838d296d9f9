// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to the environment look like this

// Whatever stands in the file, the answer is a configuration or problems in words: never a crash, a hang or a secret.

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import type { Problem } from "../../src/config/problems.ts";
import { configSchema } from "../../src/config/schema.ts";
import { listSchemaKeys } from "../../src/config/schema-keys.ts";
import { directoryWith, parse, problemsOf } from "./parsing.ts";

const example = readFileSync(new URL("../../config/example.yaml", import.meta.url), "utf8");

describe("a file that is not a configuration", () => {
  test.each([
    ["empty", "", "1:1: the file is empty; wanted at least one section, such as `directories:`"],
    [
      "only comments",
      "# nothing\n",
      "1:1: the file is empty; wanted at least one section, such as `directories:`",
    ],
    ["a list", "\n- a\n", "2:1: the file is not a mapping; wanted `key: value` lines"],
    ["a word", "hello", "1:1: the file is not a mapping; wanted `key: value` lines"],
    [
      "two documents",
      "log: {}\n---\nkeys: {}\n",
      "2:1: a second document (`---`); wanted one document a file",
    ],
    ["a tab", "log:\n\tlevel: info\n", "2:1: a tab in the indentation; YAML wants spaces"],
    [
      "a doubled key",
      "log: {}\nkeys: {}\nlog: {}\n",
      '3:1: the key "log" is given twice; the first is on line 1',
    ],
    ["a binary", "log: {}\nkeys:\u0000", "2:6: a control character; this is no text file, or a damaged one"],
    ["a function", "log: !!js/function 'x'\n", "1:6: a tag (`!…`); only plain values are read"],
    ["an unset alias", "log: *log\n", "1:6: an alias without an anchor before it"],
    ["an alias in its anchor", "log: &a {level: *a}\n", "1:17: an alias inside its own anchor"],
    ["a list as a key", "? [a]\n: b\n", "1:3: a key that is not text"],
    ["a quote left open", 'log: {level: "info}\n', "a closing quote"],
    ["a bracket left open", "log: {level: info\n", "a bracket is not closed"],
    ["a colon in a text", "mfa:\n  issuer: a: b\n", "2:11: two `key:` on one line"],
    ["more than 1 MiB", `# ${"x".repeat(1024 * 1024)}`, "1:1: the file is larger than 1 MiB"],
    ["deep lists", `a: ${"[".repeat(20_000)}`, "nested too deeply"],
    ["deep mappings", `${"{a: ".repeat(5_000)}`, "nested too deeply"],
    ["deep but closed", `a: ${"[".repeat(40)}${"]".repeat(40)}`, "nested too deeply"],
    ["many aliases", `a: &a x\nb: [${"*a,".repeat(200)}]`, "more than 100 aliases"],
  ])("%s", (_name, text, problem) => {
    expect(problemsOf(text).join("\n")).toContain(problem);
  });

  test("an alias bomb is told, not unfolded", () => {
    const lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"];
    for (const [from, to] of ["ab", "bc", "cd", "de", "ef", "fg", "gh", "hi"].map((pair) => [...pair])) {
      lines.push(`${to}: &${to} [${Array.from({ length: 10 }, () => `*${from}`).join(", ")}]`);
    }
    expect(problemsOf(lines.join("\n"))).toEqual([
      "1:1: the aliases multiply into too much; write the values out",
    ]);
  });

  test("20,000 unknown keys are answered soon and shortly", () => {
    const { problems } = parse(Array.from({ length: 20_000 }, (_, index) => `k${index}: 1`).join("\n"));
    expect(problems.length).toBe(101);
  });

  test("YAML 1.1 is read as YAML 1.2", () => {
    expect(problemsOf("%YAML 1.1\n---\nmfa: {requireForNewUsers: yes}\n")).toEqual([
      '3:27: mfa.requireForNewUsers: found "yes", wanted true or false',
    ]);
  });
});

describe("keys of the prototype", () => {
  test.each(["__proto__", "constructor", "toString", "hasOwnProperty"])("%s is an unknown key", (key) => {
    const problems = problemsOf(
      `${key}: {level: info}\nlog: {${key}: {a: 1}}\n${directoryWith(`${key}: {}`)}`,
    );
    expect(problems.map((problem) => problem.replace(/;.*/, ""))).toEqual([
      `1:1: unknown key "${key}"`,
      `2:7: unknown key "${key}" in log`,
      `8:5: unknown key "${key}" in directories[0]`,
    ]);
    expect(Object.hasOwn(Object.prototype, "level")).toBe(false);
  });
});

describe("properties", () => {
  /** A configuration or problems, never both, never neither, each problem with a place in the text. */
  function expectAnswer(text: string): void {
    const { file, problems } = parse(text, { SECRET: "hunter2", NUMBER: "7" });
    expect(file === undefined).toBe(problems.length > 0);
    const lines = text.split("\n").length;
    const isGood = ({ line, column, what }: Problem) =>
      line >= 1 && line <= lines && column >= 1 && !/hunter2|undefined/.test(what);
    expect(problems.filter((problem) => !isGood(problem))).toEqual([]);
  }

  test("any text has an answer", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), expectAnswer), { numRuns: 300 });
  });

  const yamlPiece = fc.constantFrom(
    ..."{}[]:,-?&*!|>'\"%@#\n\t $".split(""),
    ...[
      "\n  ",
      "\n- ",
      ": ",
      "${",
      "${SECRET}",
      "$${",
      "&a ",
      "*a",
      "<<: ",
      "---\n",
      "!!str ",
      "~",
      "1e9",
      ".inf",
    ],
    ...listSchemaKeys(configSchema).map((key) => `${key.name}: `),
  );

  test("any text made of YAML has an answer", () => {
    const text = fc.array(yamlPiece, { maxLength: 40 }).map((pieces) => pieces.join(""));
    fc.assert(fc.property(text, expectAnswer), { numRuns: 500 });
  });

  test("the example with anything cut out or put in has an answer", () => {
    const change = fc.record({ at: fc.nat(example.length), cut: fc.nat(200), put: yamlPiece });
    fc.assert(
      fc.property(change, ({ at, cut, put }) =>
        expectAnswer(example.slice(0, at) + put + example.slice(at + cut)),
      ),
      { numRuns: 40 },
    );
  });

  test("any values under known keys have an answer", () => {
    const leaf = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.integer(),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
      fc.constantFrom("${SECRET}", "${NUMBER}", "anonymous", "7d", "ldap://h", "required"),
    );
    const names = fc.constantFrom(...listSchemaKeys(configSchema).map((key) => key.name));
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        leaf,
        fc.array(tie("tree"), { maxLength: 3 }),
        fc.dictionary(names, tie("tree"), { maxKeys: 4 }),
      ),
    }));
    const sections = fc.constantFrom("database", "http", "keys", "directories", "mfa", "retention", "log");
    fc.assert(
      fc.property(fc.dictionary(sections, tree, { minKeys: 1 }), (value) => expectAnswer(stringify(value))),
      { numRuns: 200 },
    );
  });
});
