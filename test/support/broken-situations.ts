// What can be broken about an installation, and what a command may say then, for the tests that try commands in each: those of
// test/cli try some of them, those of test/properties all.

import { once } from "node:events";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { expect, inject } from "vitest";
import { createCertificateAuthority } from "../../scripts/servers/certificates.ts";
import { runStatement } from "../../scripts/servers/postgres.ts";
import { createProgram } from "../../src/cli/command-line.ts";
import type { DatabaseConfig } from "../../src/config/config.ts";
import { type Ran, runCommand } from "./command.ts";
import { createTestDatabase } from "./databases.ts";
import { createInstallation, type Installation } from "./installation.ts";

export interface Situation {
  name: string;
  /** Sections of the configuration. */
  config?: Record<string, unknown>;
  /** Default: a fresh database with current tables. */
  database?: DatabaseConfig;
  /** How it is broken, once the configuration is written. */
  breakIt?(installation: Installation, database: DatabaseConfig): Promise<unknown>;
  /** Key files made before it is broken. */
  keys?: number;
  /** What `serve` ends with: 2 when only an admin can mend it, 1 when another try may help. */
  start: 1 | 2;
}

const authority = createCertificateAuthority();
const certificate = authority.issue({ names: ["127.0.0.1"] });
const sql = (statement: string) => (_: Installation, database: DatabaseConfig) =>
  runStatement(database.kind === "postgres" ? database.url : "", statement);
const file = (name: string, text: string) => (installation: Installation) =>
  writeFile(join(installation.folder, name), text, { mode: 0o600 });
const tls = { certFile: "server.pem", keyFile: "server.key" };
const writeTls = async (installation: Installation, certPem: string, keyPem: string) => {
  await file(tls.certFile, certPem)(installation);
  await file(tls.keyFile, keyPem)(installation);
};
const writeTlsOfTwoKeys = (installation: Installation) =>
  writeTls(installation, certificate.certPem, authority.issue({ names: ["a.example"] }).keyPem);
const elsewhere: DatabaseConfig = {
  kind: "postgres",
  url: "postgres://dirmfa@127.0.0.1:1/dirmfa",
  poolSize: 2,
};

/** A program that is not dirmfa, on a port where dirmfa is told to listen. */
export async function startAnotherProgram(): Promise<{ port: number; close(): void }> {
  const server = createServer((socket) => socket.end("220 not dirmfa\r\n")).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // listening on TCP, it has one
  return { port, close: () => server.close() };
}

/** `takenPort`: where another program listens. */
export const situationsWith = (takenPort: number): Situation[] => [
  { name: "there is no configuration", breakIt: (it) => rm(it.configPath), start: 2 },
  {
    name: "the configuration is a folder",
    breakIt: (it) => rm(it.configPath).then(() => mkdir(it.configPath)),
    start: 2,
  },
  { name: "the configuration is not YAML", breakIt: file("dirmfa.yaml", "a: [\n\tb"), start: 2 },
  { name: "the database server is away", database: elsewhere, start: 1 },
  {
    name: "the database is not there",
    database: { kind: "postgres", url: inject("postgresUrl").replace(/postgres$/, "no_such"), poolSize: 2 },
    start: 1,
  },
  {
    name: "the tables were not made",
    breakIt: sql("drop schema public cascade; create schema public"),
    start: 2,
  },
  {
    name: "the tables are of a newer version",
    breakIt: sql("update schema_version set migration = '9999_from_the_future'"),
    start: 2,
  },
  { name: "a table is gone", breakIt: sql("drop table users cascade"), start: 1 },
  {
    name: "the database is read-only",
    breakIt: sql(
      "do $$ begin execute 'alter database ' || quote_ident(current_database()) || ' set default_transaction_read_only = on'; end $$",
    ),
    start: 1,
  },
  {
    name: "the embedded database's folder is a file",
    database: { kind: "embedded", folder: "data" },
    breakIt: file("data", "not a folder"),
    start: 1,
  },
  { name: "there is no key", keys: 0, start: 2 },
  { name: "a new database finds two keys", keys: 2, start: 2 },
  {
    name: "the key file is not a key",
    keys: 0,
    breakIt: (it) => writeKey(it, "bad", "not base64!"),
    start: 2,
  },
  {
    name: "the key in use is not in the folder",
    keys: 0,
    breakIt: (it, database) => withKeyInUse(it, database, { inFolder: "new", inUse: "old" }),
    start: 2,
  },
  {
    name: "the key of that name is another one",
    keys: 0,
    breakIt: (it, database) => withKeyInUse(it, database, { inFolder: "old", inUse: "old" }),
    start: 2,
  },
  {
    name: "the audit chain's key cannot be opened",
    breakIt: async (it, database) => {
      await runCommand("--config", it.configPath, "audit", "verify");
      await sql("update audit_chain_keys set sealed = '\\x00'")(it, database);
    },
    start: 2,
  },
  {
    name: "the key folder is a file",
    keys: 0,
    breakIt: file("keys", "not a folder"),
    start: 2,
  },
  {
    name: "the key file is a folder",
    keys: 0,
    breakIt: (it) => mkdir(join(it.folder, "keys/a.key"), { recursive: true }),
    start: 2,
  },
  {
    name: "the key folder cannot be made",
    keys: 0,
    config: { keys: { folder: "/dev/null/keys" } },
    start: 2,
  },
  {
    name: "the certificate is of another key",
    config: { http: { listen: "127.0.0.1:0", tls } },
    breakIt: writeTlsOfTwoKeys,
    start: 2,
  },
  {
    name: "the certificate is broken",
    config: { http: { listen: "127.0.0.1:0", tls } },
    breakIt: (it) => writeTls(it, certificate.certPem.replace(/\n.{10}/, "\nAAAAAAAAAA"), certificate.keyPem),
    start: 2,
  },
  {
    name: "the address is of another machine",
    config: { http: { listen: "203.0.113.1:8420" } },
    start: 1,
  },
  { name: "the port is taken", config: { http: { listen: `127.0.0.1:${takenPort}` } }, start: 1 },
  {
    name: "the metrics port is taken",
    config: { http: { listen: "127.0.0.1:0", metricsListen: `127.0.0.1:${takenPort}` } },
    start: 1,
  },
  {
    name: "the console's port is taken",
    config: { console: { listen: `127.0.0.1:${takenPort}` } },
    start: 1,
  },
  {
    name: "the console's certificate is of another key",
    config: { console: { listen: "127.0.0.1:0", tls } },
    breakIt: writeTlsOfTwoKeys,
    start: 2,
  },
  {
    name: "the socket's folder is not there",
    config: { http: { listen: "unix:nowhere/dirmfa.sock" } },
    start: 2,
  },
  {
    name: "the socket's path is too long",
    config: { http: { listen: `unix:${"s".repeat(120)}` } },
    start: 2,
  },
  {
    name: "a file stands where the socket belongs",
    config: { http: { listen: "unix:dirmfa.sock" } },
    breakIt: file("dirmfa.sock", ""),
    start: 2,
  },
];

async function writeKey(installation: Installation, id: string, text: string): Promise<void> {
  await mkdir(join(installation.folder, "keys"), { recursive: true });
  await file(`keys/${id}.key`, text)(installation);
}

/** One key in the folder, and in the database the check value of another. */
async function withKeyInUse(
  installation: Installation,
  database: DatabaseConfig,
  keys: { inFolder: string; inUse: string },
): Promise<void> {
  await writeKey(installation, keys.inFolder, `${Buffer.alloc(32, 7).toString("base64")}\n`);
  await sql(`insert into sealing_keys (id, check_value, state) values ('${keys.inUse}', '\\x00', 'active')`)(
    installation,
    database,
  );
}

export async function inSituation(
  situation: Situation,
  look: (dirmfa: (...args: string[]) => Promise<Ran>) => Promise<void>,
): Promise<void> {
  const created = situation.database === undefined ? await createTestDatabase() : undefined;
  const database = situation.database ?? created?.config ?? elsewhere;
  const installation = await createInstallation({
    slapd: undefined,
    database,
    config: { keys: { folder: "keys" }, directories: [unreachable], ...situation.config },
  });
  const dirmfa = (...args: string[]) => runCommand("--config", installation.configPath, ...args);
  try {
    for (let made = 0; made < (situation.keys ?? 1); made += 1) {
      await writeKey(installation, `key-${made}`, `${Buffer.alloc(32, made).toString("base64")}\n`);
    }
    await situation.breakIt?.(installation, database);
    await look(dirmfa);
  } finally {
    await installation.remove();
    await created?.drop();
  }
}

const unreachable = {
  name: "example",
  urls: ["ldap://127.0.0.1:1"],
  bind: "anonymous",
  users: { bases: ["dc=example,dc=org"] },
  schedule: "on-demand",
};

/** Every command that ends by itself, with `argument` for each of its arguments. */
export async function commandsWith(argument: string): Promise<string[][]> {
  const { program } = await createProgram({ stdout: process.stdout, stderr: process.stderr, env: {} });
  const leaves = (command: typeof program, path: string[]): string[][] =>
    command.commands.length > 0
      ? command.commands.flatMap((child) => leaves(child, [...path, child.name()]))
      : [
          [
            ...path,
            ...command.options.filter((one) => one.mandatory).flatMap((one) => [one.long ?? "", argument]),
            ...command.registeredArguments.filter((one) => one.required).map(() => argument),
          ],
        ];
  return leaves(program, []).filter(([first]) => first !== "serve");
}

/** Every option of every command that takes a value, with `value`. */
export async function optionsWith(value: string): Promise<string[][]> {
  const { program } = await createProgram({ stdout: process.stdout, stderr: process.stderr, env: {} });
  return (await commandsWith(value)).flatMap((args) => {
    const leaf = args.reduce(
      (command, name) => command.commands.find((one) => one.name() === name) ?? command,
      program,
    );
    return leaf.options.filter((one) => one.required).map((one) => [...args, `${one.long}=${value}`]);
  });
}

export function expectWords(args: string[], { code, stdout, stderr }: Ran): void {
  const said = `dirmfa ${args.join(" ")}: ${code}\n${stdout}${stderr}`;
  expect(said).not.toMatch(/(\n|\\n)\s+at |node:internal|something unexpected|not one of the errors/);
  expect(said).not.toMatch(/\b(select|insert|update|delete)\b.*\b(from|into|set|values)\b/i);
  expect([0, 1, 2, 3], said).toContain(code);
  if (code === 1 || code === 2) expect(stdout + stderr, said).not.toBe("");
}

/** Starts it, checks it, and tries `others`, each as its arguments. */
export async function tryInSituation(situation: Situation, others: string[][]): Promise<void> {
  await inSituation(situation, async (dirmfa) => {
    const started = await dirmfa("serve");
    expectWords(["serve"], started);
    expect(started.code, started.stderr).toBe(situation.start);
    const checked = await dirmfa("check");
    expectWords(["check"], checked);
    expect(checked.code, checked.stdout).toBe(situation.name.includes("configuration") ? 2 : 1);
    expect(checked.stdout + checked.stderr).toMatch(/^(failed|dirmfa:) /m);
    // What is wrong with a listener stops none of the other commands.
    const { http, console } = situation.config ?? {};
    if (http !== undefined || console !== undefined) return;
    for (const args of others) expectWords(args, await dirmfa(...args));
  });
}

// A name, no id, an id of nobody, numbers at and over the edges, what ends up in patterns and terminals, nothing.
export const oddOptions = ["kim", "99999999999999999999", "'%_\\\u001b[2J🦊"];
export const oddArguments = ["00000000-0000-4000-8000-000000000000", ""];
