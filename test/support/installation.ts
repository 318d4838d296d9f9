// dirmfa as an admin has it: a folder with a configuration, and the program run as its own process.

import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { stringify } from "yaml";
import type { Slapd } from "../../scripts/servers/slapd.ts";
import type { DatabaseConfig } from "../../src/config/config.ts";
import { keptLines, noteSecret } from "./kept-logs.ts";

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Installation {
  folder: string;
  configPath: string;
  /** Runs a command to its end. */
  run(...args: string[]): Promise<Finished>;
  /** Runs a command with --json and parses what it prints; throws unless the exit code is 0. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into many shapes of output
  json(...args: string[]): Promise<any>;
  /** Starts a command and leaves it running; killed by remove() at the latest. */
  start(...args: string[]): ChildProcessByStdio<null, Readable, Readable>;
  /** Starts the daemon and resolves with its address when it is ready. */
  serve(): Promise<{ process: ChildProcess; address: string }>;
  remove(): Promise<void>;
}

export interface InstallationOptions {
  /** The directory server, of whatever kind; undefined where `config` has its own directories. */
  slapd: Pick<Slapd, "url" | "suffix" | "syncDn" | "syncPasswordFile"> | undefined;
  /** Default: embedded, in the installation's folder. */
  database?: DatabaseConfig;
  /** The program's file. Default: the sources. */
  program?: string;
  /** Merged over the configuration's sections. */
  config?: Record<string, unknown>;
  /** Merged over the one directory's keys. */
  directory?: Record<string, unknown>;
}

const sources = resolve(import.meta.dirname, "../../src/main.ts");

export async function createInstallation(options: InstallationOptions): Promise<Installation> {
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-installation-"));
  const configPath = join(folder, "dirmfa.yaml");
  await writeConfig(folder, configPath, options);
  const running = new Set<ChildProcess>();
  const start = (...args: string[]) => {
    // Lives for seconds, as in vitest.config.ts: to optimize an embedded engine's machine code takes a third of its start.
    const program = ["--liftoff-only", options.program ?? sources];
    const child = spawn(process.execPath, [...program, "--config", configPath, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(child.once("exit", () => running.delete(child)));
    // What other commands print is for their caller, and may be a token or a pass.
    if (args[0] === "serve") keepLog(child);
    return child;
  };
  const run = (...args: string[]) => finish(start(...args));
  return {
    folder,
    configPath,
    start,
    run,
    async json(...args) {
      const { code, stdout, stderr } = await run(...args, "--json");
      if (code !== 0) throw new Error(`dirmfa ${args.join(" ")} ended with ${code}: ${stderr}`);
      return JSON.parse(stdout);
    },
    async serve() {
      const process = start("serve");
      return { process, address: await readyAddress(process) };
    },
    async remove() {
      for (const child of running) {
        child.kill("SIGKILL");
        await once(child, "exit");
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function keepLog(daemon: ChildProcessByStdio<null, Readable, Readable>): void {
  const lines = keptLines("daemon");
  for (const output of [daemon.stdout, daemon.stderr])
    output.on("data", (chunk: Buffer) => void lines.push(chunk.toString()));
}

async function writeConfig(folder: string, path: string, options: InstallationOptions): Promise<void> {
  const { slapd, database } = options;
  const urlFile = join(folder, "database.url");
  if (database?.kind === "postgres") await writeFile(urlFile, database.url, { mode: 0o600 });
  const config = {
    database: database?.kind === "postgres" ? { urlFile } : { embedded: "data" },
    http: { listen: "127.0.0.1:0" },
    log: { level: "trace" }, // all of it is searched for secrets
    ...(slapd === undefined ? {} : { directories: [await directoryOf(folder, slapd, options.directory)] }),
    ...options.config,
  };
  await writeFile(path, stringify(config), { mode: 0o600 });
}

async function directoryOf(
  folder: string,
  slapd: NonNullable<InstallationOptions["slapd"]>,
  more: Record<string, unknown> = {},
): Promise<Record<string, unknown>> {
  const passwordFile = join(folder, "sync.password");
  const password = await readFile(slapd.syncPasswordFile, "utf8");
  noteSecret(password.trim());
  await writeFile(passwordFile, password, { mode: 0o600 });
  return {
    name: "example",
    urls: [slapd.url],
    bind: { dn: slapd.syncDn, passwordFile },
    users: { bases: [`ou=people,${slapd.suffix}`] },
    groups: { bases: [`ou=groups,${slapd.suffix}`] },
    schedule: "on-demand",
    ...more,
  };
}

async function finish(child: ChildProcess): Promise<Finished> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
  const [code] = await once(child, "close");
  return { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
}

async function readyAddress(daemon: ChildProcess): Promise<string> {
  let text = "";
  return new Promise((resolve, reject) => {
    const onText = (chunk: Buffer) => {
      text += chunk;
      const line = text.split("\n").find((one) => one.includes('"dirmfa is ready"'));
      if (line) resolve(JSON.parse(line).address);
    };
    daemon.stdout?.on("data", onText);
    daemon.stderr?.on("data", onText);
    daemon.once("exit", (code) => reject(new Error(`the daemon ended with ${code}: ${text}`)));
  });
}
