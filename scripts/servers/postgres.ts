// Starts private PostgreSQL servers for tests and benchmarks: own folder, own port on loopback, own password. Never
// touches a server that it did not start.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { access, chown, constants, mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { endingWithParent } from "./end-with-parent.ts";
import { ensureServers } from "./install-servers.ts";
import { freePort } from "./ports.ts";

const run = promisify(execFile);

export interface PostgresServer {
  /** Of the database `postgres`, with the superuser's password. */
  url: string;
  /** Folder of the server's programs (psql, pgbench, pg_dump), with none of them on PATH needed. */
  programs: string;
  /** Ends it as a crash does: at once, with recovery at the next start. Data and port are kept. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data, stopping it first if it runs. */
  restart(): Promise<void>;
  /** Ends it and removes its data. May be called twice. */
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /** Writes reach the disk as in production, and data lies on disk and not in memory. For benchmarks. */
  durable?: boolean;
  /** Further `name=value` settings. */
  settings?: string[];
  /** A hot standby that follows this server, until `select pg_promote()`. It has the other's databases, roles and passwords. */
  standbyOf?: Pick<PostgresServer, "url">;
}

/** A running server that accepts connections. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const programs = await findPrograms();
  const owner = await findOwner();
  const folder = await mkdtemp(join(options.durable ? tmpdir() : await memoryFolder(), "dirmfa-postgres-"));
  try {
    const password = options.standbyOf
      ? new URL(options.standbyOf.url).password
      : randomBytes(12).toString("hex");
    if (options.standbyOf) await copyData(programs, folder, options.standbyOf.url, owner);
    else await initializeData(programs, folder, password, owner, options);
    const port = await freePort();
    const url = `postgres://dirmfa:${password}@127.0.0.1:${port}/postgres`;
    const start = () => startServer({ programs, folder, port, url, owner, options });
    let server = await start();
    return {
      url,
      programs,
      kill: () => endServer(server, "SIGQUIT"),
      restart: async () => {
        await endServer(server, "SIGINT");
        server = await start();
      },
      stop: async () => {
        await endServer(server, "SIGINT");
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Runs one statement on the database of `url`, outside any pool. */
export async function runStatement(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

interface Owner {
  uid: number;
  gid: number;
}

// The server refuses to run as root.
async function findOwner(): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ["postgres", "nobody"]) {
    try {
      const uid = Number((await run("id", ["-u", name])).stdout);
      return { uid, gid: Number((await run("id", ["-g", name])).stdout) };
    } catch {
      // No such user here; the next may exist.
    }
  }
  throw new Error("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as");
}

async function findPrograms(): Promise<string> {
  const { postgres } = await ensureServers(["postgresql"]);
  if (postgres === undefined) throw new Error("no postgres among the programs found");
  return dirname(postgres);
}

/** A folder in memory where the system has one, else the usual one for temporary files. */
export async function memoryFolder(): Promise<string> {
  try {
    await access("/dev/shm", constants.W_OK);
    const { bavail, bsize } = await statfs("/dev/shm");
    // A server and a few dozen test databases; containers often have 64 MiB there.
    return bavail * bsize > 1024 ** 3 ? "/dev/shm" : tmpdir();
  } catch {
    return tmpdir();
  }
}

async function initializeData(
  programs: string,
  folder: string,
  password: string,
  owner: Owner | undefined,
  options: PostgresOptions,
): Promise<void> {
  const passwordFile = join(folder, "password");
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (owner) {
    await chown(folder, owner.uid, owner.gid);
    await chown(passwordFile, owner.uid, owner.gid);
  }
  const settings = [
    "--username=dirmfa",
    "--auth=scram-sha-256",
    `--pwfile=${passwordFile}`,
    "--encoding=UTF8",
  ];
  const speed = options.durable ? [] : ["--no-sync"];
  await run(
    join(programs, "initdb"),
    [`--pgdata=${join(folder, "pgdata")}`, "--locale=C", "--lc-ctype=C.UTF-8", ...settings, ...speed],
    {
      cwd: folder,
      ...owner,
    },
  );
}

/** The data of a running server, set up to follow it. */
async function copyData(
  programs: string,
  folder: string,
  url: string,
  owner: Owner | undefined,
): Promise<void> {
  if (owner) await chown(folder, owner.uid, owner.gid);
  const copying = [`--pgdata=${join(folder, "pgdata")}`, `--dbname=${url}`, "--write-recovery-conf"];
  await run(join(programs, "pg_basebackup"), [...copying, "--checkpoint=fast", "--no-sync"], {
    cwd: folder,
    ...owner,
  });
}

interface ServerStart {
  programs: string;
  folder: string;
  port: number;
  url: string;
  owner: Owner | undefined;
  options: PostgresOptions;
}

async function startServer(start: ServerStart): Promise<ChildProcess> {
  const settings = [
    "listen_addresses=127.0.0.1",
    `port=${start.port}`,
    // Unix sockets are not used, and their default folder may be missing.
    "unix_socket_directories=",
    // Several test files at once, each with a pool, and races of 50.
    "max_connections=300",
    ...(start.options.durable ? [] : ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]),
    ...(start.options.settings ?? []),
  ];
  const [program, ...parameters] = endingWithParent([
    join(start.programs, "postgres"),
    ...["-D", join(start.folder, "pgdata")],
    ...settings.flatMap((setting) => ["-c", setting]),
  ]);
  const server = spawn(program, parameters, {
    cwd: start.folder,
    stdio: ["ignore", "ignore", "pipe"],
    ...start.owner,
  });
  let said = "";
  // Kept only until it runs, but read to the end, since a full pipe would stop the server.
  server.stderr?.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4_000);
  });
  try {
    await waitUntilReady(server, start.url);
    return server;
  } catch (error) {
    await endServer(server, "SIGQUIT");
    throw new Error(`PostgreSQL did not start: ${said}`, { cause: error });
  }
}

async function waitUntilReady(server: ChildProcess, url: string): Promise<void> {
  const deadline = Date.now() + 30_000; // Recovery after a kill on a busy machine.
  for (;;) {
    try {
      return await runStatement(url, "select 1");
    } catch (error) {
      if (hasEnded(server) || Date.now() > deadline) throw error;
      await sleep(50);
    }
  }
}

async function endServer(server: ChildProcess, signal: "SIGINT" | "SIGQUIT"): Promise<void> {
  if (hasEnded(server)) return;
  const ended = once(server, "exit");
  server.kill(signal);
  await ended;
}

function hasEnded(server: ChildProcess): boolean {
  return server.exitCode !== null || server.signalCode !== null || server.pid === undefined;
}
