// The import rules of docs/architecture.md, checked: who may know whom, no cycles, and nothing that acts when imported.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

const source = resolve(import.meta.dirname, "../../src");

interface SourceFile {
  /** Relative to src. */
  path: string;
  /** The folder under src; for a file directly in it, its own name. */
  place: string;
  text: string;
  imports: Import[];
}

interface Import {
  /** Relative to src, or a package name. */
  target: string;
  /** What is imported of it in braces, types aside. */
  names: string[];
  typeOnly: boolean;
}

const files: SourceFile[] = readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => {
    const text = readFileSync(join(source, path), "utf8");
    return { path, place: placeOf(path), text, imports: importsOf(path, text) };
  });

function placeOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : path;
}

function importsOf(path: string, text: string): Import[] {
  const found = text.matchAll(/^(?:import|export)\s+(type\s+)?([^;"']*?from\s+)?["']([^"']+)["']/gm);
  return [...found].map(([, typeWord, what = "", name = ""]) => ({
    typeOnly: typeWord !== undefined,
    names: (/\{(.*)\}/s.exec(what)?.[1] ?? "")
      .split(",")
      .map((one) => one.trim())
      .filter((one) => one !== "" && !one.startsWith("type ")),
    target: name.startsWith(".") ? relative(source, resolve(source, dirname(path), name)) : name,
  }));
}

// A pure file decides and computes: what it reaches, by any detour, has no clock, no chance and nothing outside the process. It says so
// with the last word of the comment that it begins with, or with more behind it ("Pure; …").
const isPure = ({ text }: SourceFile) => /^(\/\/.*\n)*\/\/.*\bPure\b(?! files)/.test(text);
const pureFiles = new Set(files.filter(isPure).map(({ path }) => path));
const pureLibraries = /^(node:(crypto|path|util|zlib)|otplib|qr|typebox|yaml)$/;
// Modules that reach outside, of which these names do not.
const pureNames = ["isIP", "STATUS_CODES"];

const bottom = [
  "errors.ts",
  "clock.ts",
  "log.ts",
  "request-id.ts",
  "username.ts",
  "uuid.ts",
  "csv.ts",
  "post.ts",
  "postgres-url.ts",
  "recent.ts",
  "rounds.ts",
  "ldap-text",
  "config",
];

/** What each place may import beside itself and `bottom`. `config` at the bottom means its types: see below. */
const allowed: Record<string, string[]> = {
  "main.ts": ["cli"],
  cli: [
    "daemon.ts",
    "after-restore.ts",
    "http",
    "sync",
    "directory",
    "verification",
    "sealing",
    "users",
    "audit",
    "notices",
    "store",
  ],
  "daemon.ts": [
    "take-over.ts",
    "housekeeping.ts",
    "console",
    "notices",
    "http",
    "sync",
    "verification",
    "sealing",
    "users",
    "audit",
    "store",
  ],
  "after-restore.ts": ["console", "sync", "verification", "sealing", "audit", "store"],
  "housekeeping.ts": ["sync", "verification", "sealing", "users", "audit", "store"],
  http: ["front-doors", "sync", "verification", "sealing", "users", "audit", "notices", "store"],
  "front-doors": ["http", "verification", "sealing", "users", "audit"],
  console: ["pages", "http", "directory", "sync", "verification", "users", "audit", "notices", "store"],
  pages: [],
  client: ["http"],
  sync: ["directory", "users", "audit", "store"],
  verification: ["sealing", "users", "audit", "store"],
  notices: ["audit", "store"],
  sealing: ["audit", "store"],
  users: ["audit", "store"],
  audit: ["store"],
  store: [],
  directory: [],
  "ldap-text": [],
  config: [],
  "errors.ts": [],
  "clock.ts": [],
  "post.ts": [],
  "postgres-url.ts": [],
  "recent.ts": [],
  "rounds.ts": [],
  "log.ts": [],
  "request-id.ts": [],
  "take-over.ts": [],
  "username.ts": [],
  "uuid.ts": [],
  "csv.ts": [],
};

test("every place imports only what it may", () => {
  const wrong: string[] = [];
  for (const file of files) {
    const may = [file.place, ...bottom, ...(allowed[file.place] ?? [])];
    for (const { target } of file.imports) {
      if (!target.endsWith(".ts") || may.includes(placeOf(target))) continue;
      if (file.path === "store/migrate.ts" && target.startsWith("../migrations/")) continue;
      if (pureFiles.has(file.path) && pureFiles.has(target)) continue;
      wrong.push(`${file.path} imports ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("every folder has its rule", () => {
  expect(files.map((file) => file.place).filter((place) => !(place in allowed))).toEqual([]);
});

test("only cli and the daemon's start read configuration files; everybody else takes the parsed one", () => {
  const wrong = files.flatMap((file) =>
    file.imports
      .filter(
        ({ target }) =>
          placeOf(target) === "config" && !["config/config.ts", "config/config-in-force.ts"].includes(target),
      )
      .filter(() => !["config", "cli"].includes(file.place))
      .map(({ target }) => `${file.path} imports ${target}`),
  );
  expect(wrong).toEqual([]);
});

test("each library is known in one place alone", () => {
  const homes: [RegExp, (file: SourceFile, use: Import) => boolean][] = [
    [/^ldapts$/, (file) => file.path.startsWith("directory/ldap/")],
    [
      /^(fastify|@fastify\/.*|prom-client)$/,
      (file) => ["http", "front-doors", "console"].includes(file.place),
    ],
    [/^node-cron$/, (file) => file.path === "sync/schedule.ts"],
    [/^(knex|pg)$/, (file, use) => file.place === "store" || use.typeOnly],
    [/^@electric-sql\/pglite/, (file) => file.path.startsWith("store/embedded/")],
    [/^(otplib|qr)$/, (file) => file.place === "verification"],
    [/^commander$/, (file) => file.place === "cli"],
    [/^yaml$/, (file) => file.place === "config"],
  ];
  const wrong = files.flatMap((file) =>
    file.imports
      .filter((use) => homes.some(([library, isHome]) => library.test(use.target) && !isHome(file, use)))
      .map((use) => `${file.path} imports ${use.target}`),
  );
  expect(wrong).toEqual([]);
});

test("pure files reach nothing outside, and take time and chance as arguments", () => {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const wrong: string[] = [];
  const visit = (path: string, trail: string[]) => {
    const file = byPath.get(path);
    if (!file || trail.includes(path)) return;
    const here = [...trail, path];
    if (
      /\bDate\.now\(|new Date\(\)|Math\.random|(?<!\.)\brandom(Bytes|UUID|Int)\(|performance\.now|-table\.ts$/.test(
        file.text + path,
      )
    )
      wrong.push(`${here.join(" → ")} is not pure`);
    for (const { target, typeOnly, names } of file.imports) {
      if (typeOnly || pureLibraries.test(target)) continue;
      if (target.endsWith(".ts")) visit(target, here);
      else if (!names.every((name) => pureNames.includes(name)))
        wrong.push(`${here.join(" → ")} imports ${target}`);
    }
  };
  for (const path of pureFiles) visit(path, []);
  expect(wrong).toEqual([]);
  expect(pureFiles.size).toBeGreaterThan(20);
});

// Not the configuration's section of that name.
const prints =
  /\bprocess\.(env|exit)\b|(?<![.\w])console\.(log|error|warn|info|debug|trace|dir|table|time|count|group|assert)\b/;

test("only the edge reads the environment, exits or prints", () => {
  const wrong = files
    .filter(({ place, path }) => place !== "main.ts" && place !== "cli" && path !== "config/load-config.ts")
    .filter(({ path }) => path !== "store/embedded/embedded-worker.ts") // a thread's own main file
    .filter(({ text }) => prints.test(text))
    .map(({ path }) => path);
  expect(wrong).toEqual([]);
});

test("SQL stands in *-table.ts files alone", () => {
  const sql = /[`"'\s](select|insert into|update|delete from)\s[\s\S]{0,200}?\s(from|set|values|where)\s/;
  const wrong = files
    .filter(({ path }) => !path.endsWith("-table.ts"))
    .filter(({ text }) => /\braw(Rows?|Count)?[(<]/.test(text) && sql.test(text))
    .map(({ path }) => path);
  expect(wrong).toEqual([]);
});

test("no file imports itself by a detour, types included", () => {
  const graph = new Map(files.map((file) => [file.path, file.imports.map(({ target }) => target)]));
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: string[]) => {
    if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(" → "));
    if (done.has(path) || trail.includes(path)) return;
    for (const target of graph.get(path) ?? []) if (graph.has(target)) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  expect(cycles).toEqual([]);
});

test("scripts and examples stand without the tests", () => {
  const root = resolve(source, "..");
  const wrong = ["scripts", "examples"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter(
        (path) =>
          path.endsWith(".ts") &&
          /from "[^"]*\.\.\/test\//.test(readFileSync(join(root, folder, path), "utf8")),
      )
      .map((path) => `${folder}/${path}`),
  );
  expect(wrong).toEqual([]);
});

test("every file says in its first line what it is for", () => {
  const wrong = files.filter(({ text }) => !/^(#!.*\n)?\/\/ \S/.test(text)).map(({ path }) => path);
  expect(wrong).toEqual([]);
});
