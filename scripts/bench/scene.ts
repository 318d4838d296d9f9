// The scene of the sync rows: an OpenLDAP with many users, and a PostgreSQL with its default durability that is migrated
// afresh for every round. Runs the floors (ldapsearch, psql) and the sync runs as separate processes.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import pg from "pg";
import { createLog } from "../../src/log.ts";
import { openDatabase } from "../../src/store/database.ts";
import { migrateToLatest } from "../../src/store/migrate.ts";
import { writeConfigFile } from "../config-file.ts";
import { generateLargeOrganization } from "../servers/large-organization.ts";
import { type PostgresServer, runStatement, startPostgres } from "../servers/postgres.ts";
import { type Slapd, startSlapd } from "../servers/slapd.ts";
import type { Bench } from "./bench.ts";
import { syncOnDemandArgs } from "./program.ts";
import type { SyncAnswer } from "./sync-on-demand.ts";

export interface Syncing {
  /** A full run where it is not said. Throws unless the run succeeded. */
  sync(kind?: "incremental"): Promise<SyncAnswer>;
  close(): Promise<void>;
}

export interface SyncScene {
  slapd: Slapd;
  /** Points the configuration at a new, migrated, empty database and returns that database's URL. */
  freshDatabase(): Promise<string>;
  /** Another, empty database on the same server. Returns its URL. */
  createDatabase(name: string): Promise<string>;
  /** One sync run in a separate process, as by the command line. Throws unless it succeeded. */
  sync(): Promise<SyncAnswer>;
  /** A process that has not run yet, for several runs as in a daemon. */
  startSyncing(): Syncing;
  /** ldapsearch reading what a run reads, or the users of `filter`, to nowhere. `paged` with the page size that the run uses. */
  search(options: { paged: boolean; filter?: string }): Promise<void>;
  psql(command: string): Promise<void>;
  /** The first row of a query on the present database. */
  queryRow(sql: string): Promise<Record<string, string | null>>;
  configFile: string;
  close(): Promise<void>;
}

// What a run asks OpenLDAP for, and the size of its pages (the default of `limits.pageSize`).
const attributes = ["entryUUID", "uid", "cn", "displayName", "mail", "pwdAccountLockedTime"];
const pageSize = 1_000;

export interface SceneOptions {
  /** Of the configuration, for rows that ask the daemon. */
  callers?: object[];
  /** As in LargeOrganization. */
  groups?: number;
  groupOfAll?: boolean;
}

export async function openSyncScene(
  bench: Bench,
  users: number,
  { callers = [], groups = 0, groupOfAll = false }: SceneOptions = {},
): Promise<SyncScene> {
  const ldifFile = join(bench.folder, "users.ldif");
  bench.say(`Making a directory of ${users} users`);
  await generateLargeOrganization({ path: ldifFile, users, groups, groupOfAll });
  const slapd = await startSlapd({ ldifFile, overlays: ["ppolicy", "syncprov"] });
  await rm(ldifFile);
  try {
    return sceneOf(bench, slapd, await startPostgres({ durable: true }), callers);
  } catch (error) {
    await slapd.stop();
    throw error;
  }
}

function sceneOf(bench: Bench, slapd: Slapd, postgres: PostgresServer, callers: object[]): SyncScene {
  const configFile = join(bench.folder, "dirmfa.yaml");
  const urlFile = join(bench.folder, "database-url");
  const keysFolder = join(bench.folder, "keys");
  let databases = 0;
  let url = postgres.url;
  return {
    slapd,
    configFile,
    freshDatabase: async () => {
      databases += 1;
      if (databases > 1) await runStatement(postgres.url, `drop database bench_${databases - 1}`);
      await runStatement(postgres.url, `create database bench_${databases}`);
      url = postgres.url.replace(/postgres$/, `bench_${databases}`);
      await rm(keysFolder, { recursive: true, force: true }); // a new database chooses its own key
      await writeFile(urlFile, url, { mode: 0o600 });
      await writeConfigFile({
        path: configFile,
        slapd,
        database: { urlFile },
        keysFolder,
        directoryName: "bench",
        schedule: "on-demand",
        http: { listen: "127.0.0.1:0", callers },
        mfa: { requireForNewUsers: true },
      });
      await migrate(url);
      await runStatement(url, "checkpoint"); // so that no round pays for the writes of the one before
      return url;
    },
    createDatabase: async (name) => {
      await runStatement(postgres.url, `create database ${name}`);
      return postgres.url.replace(/postgres$/, name);
    },
    sync: async () => {
      const syncing = startSyncing(bench, configFile);
      const answer = await syncing.sync();
      await syncing.close();
      return answer;
    },
    startSyncing: () => startSyncing(bench, configFile),
    search: async ({ paged, filter = "(objectClass=inetOrgPerson)" }) => {
      const bind = ["-x", "-H", slapd.url, "-D", slapd.syncDn, "-y", slapd.syncPasswordFile];
      const page = paged ? ["-E", `pr=${pageSize}/noprompt`] : [];
      const base = ["-b", `ou=people,${slapd.suffix}`, filter];
      await runToNowhere(bench, bench.programs.ldapsearch ?? "ldapsearch", [
        ...[...bind, "-LLL", "-o", "ldif-wrap=no", ...page, ...base, ...attributes],
      ]);
    },
    psql: (command) => runToNowhere(bench, bench.programs.psql ?? "psql", ["-qX", "-d", url, "-c", command]),
    queryRow: async (sql) => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      try {
        return (await client.query(sql)).rows[0] ?? {};
      } finally {
        await client.end();
      }
    },
    close: async () => {
      await postgres.stop();
      await slapd.stop();
    },
  };
}

function startSyncing(bench: Bench, configFile: string): Syncing {
  const child = spawn(process.execPath, syncOnDemandArgs(bench, configFile), {
    stdio: ["pipe", "pipe", "inherit"],
    signal: bench.signal,
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = once(child, "close");
  return {
    sync: async (kind = undefined) => {
      child.stdin.write(`${kind ?? ""}\n`);
      const { value } = await lines.next();
      if (value === undefined) throw new Error("the syncing process ended");
      const answer: SyncAnswer = JSON.parse(value);
      if (answer.status !== "succeeded")
        throw new Error(`the sync run ended as ${answer.status}: ${answer.error}`);
      return answer;
    },
    close: async () => {
      child.stdin.end();
      await ended;
    },
  };
}

async function migrate(url: string): Promise<void> {
  const options = { log: createLog("silent"), owner: true };
  const database = await openDatabase({ kind: "postgres", url, poolSize: 2 }, options);
  try {
    await migrateToLatest(database.db);
  } finally {
    await database.close();
  }
}

async function runToNowhere(bench: Bench, command: string, args: string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "inherit"], signal: bench.signal });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
}

/** Runs node in the project's folder and returns what it printed. */
export async function runNode(
  bench: Bench,
  args: string[],
  env: Record<string, string> = {},
): Promise<string> {
  const child = spawn(process.execPath, args, {
    cwd: join(import.meta.dirname, "../.."),
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
    signal: bench.signal,
  });
  let printed = "";
  child.stdout.on("data", (chunk: Buffer) => {
    printed += chunk.toString();
  });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`node ${args.join(" ")} ended with ${code}: ${printed}`);
  return printed;
}
