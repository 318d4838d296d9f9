// Comments and documents name files and code that exist.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const paths = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8",
})
  .trim()
  .split("\n");

/** Text that people read, and the rest of the file. */
interface Prose {
  path: string;
  prose: string;
  code: string;
}

const read: Prose[] = paths
  .filter((path) => /\.(ts|md|yaml|service|sql|json)$/.test(path) && path !== "package-lock.json")
  .map((path) => {
    const text = readFileSync(resolve(root, path), "utf8");
    if (path.endsWith(".md")) return { path, prose: text, code: "" };
    if (!path.endsWith(".ts")) return { path, prose: "", code: text };
    // A `//` inside a string is a URL or a path, after ':' or a quote; a comment has neither before it.
    const comment = /\/\*[\s\S]*?\*\/|(?<=^|[\s;{}(),])\/\/ .*$/gm;
    return { path, prose: (text.match(comment) ?? []).join("\n"), code: text.replace(comment, "") };
  });

// Of other programs, or made at a reader's: not files of this repository.
const elsewhere = /^(\/|~|https?:)|(^|\/)(dirmfa|docker-compose|openapi)\.\w+$|node_modules|^dist\/|\*/;

test("a file that a comment or a document names is there", () => {
  const wrong = read.flatMap(({ path, prose }) =>
    [...prose.matchAll(/(?<![\w:/.*{<-])[\w./-]*\w\.(?:ts|md|sql|service)\b(?![\w*-])/g)]
      .map(([name]) => name)
      .filter((name) => !elsewhere.test(name) && !isTracked(name))
      .map((name) => `${path} names ${name}`),
  );
  expect(wrong).toEqual([]);
});

/** As a whole path, or as its end: comments name a neighbour without its folder. */
function isTracked(name: string): boolean {
  const end = name.replace(/^(\.{1,2}\/)+/, "");
  return paths.some((path) => path === end || path.endsWith(`/${end}`));
}

test("a name in backticks that looks like code stands in the code", () => {
  const words = new Set(read.flatMap(({ code }) => code.match(/[A-Za-z_$][\w$]*/g) ?? []));
  const wrong = read.flatMap(({ path, prose }) =>
    [...prose.matchAll(/`([a-z]+(?:[A-Z][a-z0-9]*)+)(?:\(\))?`/g)]
      .map(([, name = ""]) => name)
      .filter((name) => !words.has(name))
      .map((name) => `${path} names ${name}`),
  );
  expect(wrong).toEqual([]);
});
