// Every code that a directory can fail a run with is reached by a test, and said to the reader of the docs.

import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { openLdapLimits } from "../../src/directory/ldap/result-errors.ts";

const root = resolve(import.meta.dirname, "../..");
const errors = readFileSync(join(root, "src/errors.ts"), "utf8");
const union = /type DirectoryErrorCode =([^;]*);/.exec(errors)?.[1] ?? "";
const codes = [...union.matchAll(/"([a-z-]+)"/g)].map(([, code = ""]) => code);

const tests = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".test.ts") || path === "interop/conformance.ts")
  .map((path) => readFileSync(join(root, "test", path), "utf8"))
  .join("\n");
const page = readFileSync(join(root, "docs/directories.md"), "utf8");

test("there are codes to look for", () => {
  expect(codes.length).toBeGreaterThan(20);
});

test.each(codes)("%s is reached by a test", (code) => {
  expect(tests).toContain(`"${code}"`);
});

test.each(codes)("%s is in docs/directories.md", (code) => {
  expect(page).toContain(`\`${code}\``);
});

test("every page that says what OpenLDAP must allow says the same as the errors' remedy", () => {
  for (const name of ["configuration", "directories", "operations"]) {
    const said = readFileSync(join(root, `docs/${name}.md`), "utf8").match(/size=\S+ [^`\n]*time=\w+/g);
    expect(said, name).toEqual([openLdapLimits]);
  }
});
