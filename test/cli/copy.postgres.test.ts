// The embedded database moved to a PostgreSQL server: everyone keeps phone and codes, and the audit chain is the same one
// (rules 15, 24).

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { pino } from "pino";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { parse, stringify } from "yaml";
import { runStatement } from "../../scripts/servers/postgres.ts";
import type { DatabaseConfig } from "../../src/config/config.ts";
import { isEmptyDatabase } from "../../src/store/copy-table.ts";
import { type OpenDatabase, openDatabase } from "../../src/store/database.ts";
import { runCommand } from "../support/command.ts";
import { createInstallation, type Installation } from "../support/installation.ts";
import {
  type EnrolledUser,
  openVerificationWorld,
  type VerificationWorld,
} from "../verification/verification-world.ts";

const main = resolve(import.meta.dirname, "../../src/main.ts");
const log = pino({ level: "silent" });
let installation: Installation;
let embedded: DatabaseConfig;
let verification: VerificationWorld;
let anna: EnrolledUser;
/** A code of Anna's that was spent before the copy, and all events up to it. */
let spent: string;
let eventsBefore: unknown[];
/** The copy to a server, from which tests copy onward. */
let onServer: { config: DatabaseConfig; configPath: string };
let copied: Awaited<ReturnType<typeof dirmfa>>;
const made: string[] = [];
beforeAll(async () => {
  installation = await createInstallation({ slapd: undefined });
  await dirmfa("migrate");
  embedded = { kind: "embedded", folder: join(installation.folder, "data") };
  const source = await openDatabase(embedded, { log, owner: true });
  verification = await openVerificationWorld({ ...source, config: embedded });
  // Each enrollment moves it on by a step.
  verification.clock.set(new Date(Date.now() - 60_000));
  anna = await verification.addEnrolledUser("anna");
  await verification.addEnrolledUser('\u0410\u043d\u043d\u0430 \\ "o\'hara"');
  await source.close();
  const config = parse(await readFile(installation.configPath, "utf8"));
  await writeFile(
    installation.configPath,
    stringify({
      ...config,
      keys: { folder: verification.folder },
      audit: { headFolder: installation.folder },
    }),
  );
  spent = verification.codeOf(anna);
  await withOpen(embedded, async ({ db }) => {
    const deps = await verification.replica({}, db);
    expect(await verification.verify(anna, spent, "totp", deps)).toMatchObject({ outcome: "accepted" });
  });
  eventsBefore = await eventsOf(installation.configPath);
  onServer = await emptyTarget();
  copied = await dirmfa("database", "copy", "--to", onServer.configPath);
});
afterAll(async () => {
  await installation.remove();
  for (const name of made)
    await runStatement(inject("postgresUrl"), `drop database if exists ${name} with (force)`);
});

const dirmfa = (...args: string[]) => runCommand("--config", installation.configPath, ...args);

const eventsOf = async (configPath: string) =>
  JSON.parse((await runCommand("--config", configPath, "audit", "list", "--json")).stdout).events;

const copyOnward = (to: string) =>
  runCommand("--config", onServer.configPath, "database", "copy", "--to", to);

/** A database in which nothing is yet, and a configuration that names it. */
async function emptyTarget(): Promise<{ config: DatabaseConfig; configPath: string }> {
  const name = `test_${randomBytes(8).toString("hex")}`;
  await runStatement(inject("postgresUrl"), `create database ${name} template template0`);
  made.push(name);
  const url = inject("postgresUrl").replace(/postgres$/, name);
  const configPath = join(installation.folder, `${name}.yaml`);
  await copyFile(installation.configPath, configPath);
  await writeFile(join(installation.folder, `${name}.url`), url, { mode: 0o600 });
  const config = parse(await readFile(configPath, "utf8"));
  await writeFile(configPath, stringify({ ...config, database: { urlFile: `${name}.url` } }), {
    mode: 0o600,
  });
  return { config: { kind: "postgres", url, poolSize: 4 }, configPath };
}

async function withOpen<T>(config: DatabaseConfig, work: (open: OpenDatabase) => Promise<T>): Promise<T> {
  const open = await openDatabase(config, { log, owner: true });
  try {
    return await work(open);
  } finally {
    await open.close();
  }
}

test("everyone signs in as before, spent codes stay spent, and the audit chain is whole", async () => {
  const { config, configPath } = onServer;
  expect(copied).toMatchObject({ code: 0, stderr: "" });
  expect(copied.stdout).toMatch(/^authenticators +2$/m);
  expect(copied.stdout).toContain("Copied, and every row compared.\nThe audit chain is whole:");

  const events = await eventsOf(configPath);
  expect(events.slice(0, eventsBefore.length)).toEqual(eventsBefore);
  expect(events.at(-1)).toMatchObject({ action: "database-copy", via: "cli" });
  expect((await runCommand("--config", configPath, "check")).stdout).toContain("schema current");
  await withOpen(config, async ({ db }) => {
    const deps = await verification.replica({}, db);
    expect(await verification.verify(anna, spent, "totp", deps)).toEqual({ outcome: "code-rejected" });
    verification.clock.step();
    expect(await verification.verify(anna, verification.codeOf(anna), "totp", deps)).toMatchObject({
      outcome: "accepted",
    });
    const backupCode = anna.backupCodes[1] ?? "";
    expect(await verification.verify(anna, backupCode, "backup-code", deps)).toMatchObject({
      outcome: "accepted",
    });
  });
});

test("a target that has something in it, or is no PostgreSQL database, is refused", async () => {
  const { configPath } = await emptyTarget();
  await runCommand("--config", configPath, "migrate");
  expect(await copyOnward(configPath)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("The target database is not empty."),
  });
  expect(await copyOnward(installation.configPath)).toMatchObject({ code: 2 });
});

test("nothing is copied beside a daemon, which would go on spending codes", async () => {
  const { configPath } = await emptyTarget();
  await withOpen(embedded, async () => {
    expect((await dirmfa("database", "copy", "--to", configPath)).stderr).toContain("is in use by process");
  });
  await withOpen(onServer.config, async ({ db }) => {
    await db.raw("select 1");
    expect((await copyOnward(configPath)).stderr).toContain("The database is in use by dirmfa");
  });
});

test("a copy that is killed in the middle leaves the target empty, and the next one is whole", async () => {
  const { config, configPath } = await emptyTarget();
  if (onServer.config.kind !== "postgres") throw new Error("not a PostgreSQL server");
  const blocker = new pg.Client({ connectionString: onServer.config.url });
  await blocker.connect();
  await blocker.query("begin");
  await blocker.query("lock table users in access exclusive mode");
  const args = [main, "--config", onServer.configPath, "database", "copy", "--to", configPath];
  const copy = spawn(process.execPath, args, { stdio: "ignore" });
  // It has made the tables, copied those before, and waits for this one.
  const waits = () =>
    blocker.query("select from pg_locks where relation = 'users'::regclass and not granted");
  while ((await waits()).rowCount === 0) await sleep(50);
  copy.kill("SIGKILL");
  await once(copy, "exit");
  await blocker.query("rollback");
  await blocker.end();
  await withOpen(config, async ({ db }) => {
    while (!(await isEmptyDatabase(db))) await sleep(50);
  });
  expect(await copyOnward(configPath)).toMatchObject({ code: 0, stderr: "" });
});
