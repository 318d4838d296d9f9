// A private OpenLDAP server: own folder, own loopback port, own passwords, run as the current user. Started by tests,
// the demo and the bench; never touches a slapd of the system.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, existsSync, openSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { DirectoryConfig } from "../../src/config/config.ts";
import { createCertificateAuthority } from "./certificates.ts";
import { type LdifEntry, parseLdif } from "./ldif.ts";

export type Overlay = "memberof" | "ppolicy" | "syncprov";

export interface SlapdTls {
  certPem: string;
  keyPem: string;
  caPem: string;
}

export interface SlapdOptions {
  /** Default dc=example,dc=org. The suffix itself, ou=people, ou=groups and ou=services are always created. */
  suffix?: string;
  /** Entries below the suffix, loaded at the first start. */
  ldif?: string;
  /** The same as a file, loaded fast and with fewer checks: for many thousands of entries. */
  ldifFile?: string;
  /** Values of slapd.conf's `limits`, replacing the default: no limit for the sync account. */
  limits?: string[];
  /** Values of slapd.conf's `access`, replacing the default: everything but passwords for the sync account alone. */
  access?: string[];
  /** Further slapd.conf lines of the database. */
  databaseLines?: string[];
  overlays?: Overlay[];
  /** Adds ldaps:// and StartTLS: `true` makes a certificate for localhost, 127.0.0.1 and ::1. */
  tls?: boolean | SlapdTls;
  /** A folder to keep: found again by the next start, left by stop(). Default: a temporary one. */
  folder?: string;
}

export interface Slapd {
  readonly url: string;
  readonly port: number;
  /** Empty string without `tls`. */
  readonly ldapsUrl: string;
  readonly ldapsPort: number;
  readonly caPem: string | undefined;
  readonly caFile: string;
  readonly suffix: string;
  readonly adminDn: string;
  readonly adminPassword: string;
  readonly adminPasswordFile: string;
  readonly syncDn: string;
  readonly syncPassword: string;
  readonly syncPasswordFile: string;
  /** The running process; changes with restart(). */
  readonly pid: number;
  /** Resolves when the running process ends, whatever the reason. */
  exited(): Promise<void>;
  add(ldif: string): Promise<void>;
  /** LDIF change records: modify, delete, modrdn, add. */
  modify(ldif: string): Promise<void>;
  /** Entries below the suffix as the admin sees them; by default all attributes, operational ones too. */
  search(filter: string, attributes?: string[]): Promise<LdifEntry[]>;
  /** Ends the process at once, as a crash does; the data stays for restart(). */
  kill(): Promise<void>;
  /** The same port and data, after kill() or from running. */
  restart(): Promise<void>;
  /** The process is gone and the temporary folder removed when this resolves. May be called twice. */
  stop(): Promise<void>;
}

const baseSchemas = ["core", "cosine", "nis", "inetorgperson"];

/** Starts a server and resolves when it answers. Throws with slapd's own words when it does not start. */
export async function startSlapd(options: SlapdOptions = {}): Promise<Slapd> {
  const suffix = options.suffix ?? "dc=example,dc=org";
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), "dirmfa-slapd-")));
  const removeFolder = async () => {
    if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
  };
  try {
    await mkdir(join(folder, "data"), { recursive: true });
    await endStaleServer(folder);
    return await startIn(folder, suffix, options, removeFolder);
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

async function startIn(
  folder: string,
  suffix: string,
  options: SlapdOptions,
  removeFolder: () => Promise<void>,
): Promise<Slapd> {
  const adminDn = `cn=admin,${suffix}`;
  const syncDn = `cn=dirmfa,ou=services,${suffix}`;
  const adminPasswordFile = join(folder, "admin.password");
  const syncPasswordFile = join(folder, "sync.password");
  const adminPassword = await passwordIn(adminPasswordFile);
  const syncPassword = await passwordIn(syncPasswordFile);
  const tls = await writeTlsFiles(folder, options.tls ?? false);
  const configFile = join(folder, "slapd.conf");
  await writeFile(configFile, configuration({ folder, suffix, adminDn, adminPassword, syncDn, options }), {
    mode: 0o600, // holds the admin's password
  });
  const binary = await slapdBinary(folder);
  const isNew = (await readdir(join(folder, "data"))).length === 0;
  // The memberof overlay fills memberOf only for what arrives over LDAP, not for what slapadd loads.
  const loadOverLdap = options.overlays?.includes("memberof") === true;
  if (isNew) {
    const ldif = `${baseEntries(suffix, syncDn, syncPassword)}\n${loadOverLdap ? "" : (options.ldif ?? "")}`;
    await run(binary, ["-T", "add", "-f", configFile], ldif);
    if (options.ldifFile !== undefined)
      await run(binary, ["-T", "add", "-q", "-f", configFile, "-l", options.ldifFile]);
  }

  const started = await startProcess(folder, binary, configFile, tls !== undefined);
  let child = started.child;
  const { port, ldapsPort } = started;
  const url = `ldap://127.0.0.1:${port}`;
  const asAdmin = ["-x", "-H", url, "-D", adminDn, "-y", adminPasswordFile];
  const add = async (ldif: string) => void (await run("ldapadd", asAdmin, ldif));
  if (isNew && loadOverLdap && options.ldif !== undefined) {
    // "relax" lets the text set operational attributes, such as entryUUID.
    await run("ldapadd", [...asAdmin, "-e", "!relax"], options.ldif);
  }

  return {
    url,
    port,
    ldapsUrl: tls === undefined ? "" : `ldaps://127.0.0.1:${ldapsPort}`,
    ldapsPort,
    caPem: tls?.caPem,
    caFile: join(folder, "ca.pem"),
    suffix,
    adminDn,
    adminPassword,
    adminPasswordFile,
    syncDn,
    syncPassword,
    syncPasswordFile,
    get pid() {
      return child.pid ?? 0;
    },
    exited: () => ended(child),
    add,
    modify: async (ldif) => void (await run("ldapmodify", asAdmin, ldif)),
    search: async (filter, attributes = ["*", "+"]) =>
      parseLdif(
        await run("ldapsearch", [
          ...asAdmin,
          "-LLL",
          "-o",
          "ldif-wrap=no",
          "-b",
          suffix,
          filter,
          ...attributes,
        ]),
      ),
    kill: () => end(child, "SIGKILL"),
    restart: async () => {
      await end(child, "SIGTERM");
      child = await spawnSlapd(folder, binary, configFile, port, tls === undefined ? 0 : ldapsPort);
    },
    stop: async () => {
      await end(child, "SIGTERM");
      await removeFolder();
    },
  };
}

/** What a test hands to the code under test to sync from this server; plain LDAP unless overridden. */
export function directoryConfigFor(slapd: Slapd, overrides: Partial<DirectoryConfig> = {}): DirectoryConfig {
  return {
    name: "example",
    kind: "openldap",
    urls: [slapd.url],
    tls: { startTls: false, caPem: slapd.caPem, serverName: undefined, allowPlaintext: true },
    bind: { dn: slapd.syncDn, passwordSecret: slapd.syncPassword },
    users: {
      bases: [`ou=people,${slapd.suffix}`],
      filter: undefined,
      attributes: { id: undefined, username: undefined, displayName: undefined, email: undefined },
      disabled: undefined,
      aliases: [],
      aliasDomain: undefined,
    },
    groups: {
      bases: [`ou=groups,${slapd.suffix}`],
      filter: undefined,
      attributes: { id: undefined, name: undefined },
      members: undefined,
      nested: true,
    },
    schedule: undefined,
    timeZone: "UTC",
    jitterMs: 0,
    limits: { removals: { count: 10, percent: 5 }, pageSize: 500, messageBytes: 16 * 1024 * 1024 },
    timeouts: { connectMs: 5_000, idleMs: 10_000, listingMs: 600_000 },
    ...overrides,
  };
}

interface Configuration {
  folder: string;
  suffix: string;
  adminDn: string;
  adminPassword: string;
  syncDn: string;
  options: SlapdOptions;
}

function configuration({ folder, suffix, adminDn, adminPassword, syncDn, options }: Configuration): string {
  const overlays = options.overlays ?? [];
  const limits = options.limits ?? [`dn.exact="${syncDn}" size=unlimited time=unlimited`];
  const access = options.access ?? [
    "to attrs=userPassword by anonymous auth by * none",
    `to * by dn.exact="${syncDn}" read by anonymous auth by * none`,
  ];
  const modules = firstFolder(["/usr/lib/ldap", "/usr/lib/openldap", "/usr/lib64/openldap"]);
  const schemas = firstFolder(["/etc/ldap/schema", "/etc/openldap/schema"]);
  return [
    ...baseSchemas.map((name) => `include ${schemas}/${name}.schema`),
    `modulepath ${modules}`,
    "moduleload back_mdb",
    ...overlays.map((overlay) => `moduleload ${overlay}`),
    `pidfile ${join(folder, "slapd.pid")}`,
    "tool-threads 2",
    ...(options.tls ? tlsLines(folder) : []),
    "database mdb",
    `directory ${join(folder, "data")}`,
    "maxsize 17179869184", // 16 GiB of address space, not of disk: a million entries take about 3 GiB
    "dbnosync", // survives a killed process, not a power cut; a test needs no more
    `suffix "${suffix}"`,
    `rootdn "${adminDn}"`,
    `rootpw "${adminPassword}"`,
    "index objectClass,uid,entryUUID,entryCSN eq",
    ...limits.map((line) => `limits ${line}`),
    ...access.map((line) => `access ${line}`),
    ...(options.databaseLines ?? []),
    ...overlays.map((overlay) => `overlay ${overlay}`),
    "",
  ].join("\n");
}

function tlsLines(folder: string): string[] {
  return [
    `TLSCACertificateFile ${join(folder, "ca.pem")}`,
    `TLSCertificateFile ${join(folder, "server.pem")}`,
    `TLSCertificateKeyFile ${join(folder, "server.key")}`,
  ];
}

function firstFolder(candidates: string[]): string {
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined)
    throw new Error(`OpenLDAP is not installed: none of ${candidates.join(", ")} exists`);
  return found;
}

function baseEntries(suffix: string, syncDn: string, syncPassword: string): string {
  const [type = "", value = ""] = (suffix.split(",")[0] ?? "").split("=");
  const classes = { dc: ["dcObject", "organization"], o: ["organization"], ou: ["organizationalUnit"] }[type];
  if (classes === undefined) throw new Error(`a suffix starts with dc=, o= or ou=, not ${suffix}`);
  const entries = [
    [
      `dn: ${suffix}`,
      ...classes.map((name) => `objectClass: ${name}`),
      `${type}: ${value}`,
      ...(type === "dc" ? [`o: ${value}`] : []),
    ],
    ...["people", "groups", "services"].map((name) => [
      `dn: ou=${name},${suffix}`,
      "objectClass: organizationalUnit",
      `ou: ${name}`,
    ]),
    [
      `dn: ${syncDn}`,
      "objectClass: organizationalRole",
      "objectClass: simpleSecurityObject",
      "cn: dirmfa",
      `userPassword: ${syncPassword}`,
    ],
  ];
  return `${entries.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

async function passwordIn(path: string): Promise<string> {
  if (existsSync(path)) return readFile(path, "utf8");
  const password = randomBytes(15).toString("base64url"); // 120 bits, and no character that a configuration quotes
  await writeFile(path, password, { mode: 0o600 });
  return password;
}

async function writeTlsFiles(folder: string, tls: boolean | SlapdTls): Promise<SlapdTls | undefined> {
  if (tls === false) return undefined;
  const files = tls === true ? ownTls() : tls;
  await writeFile(join(folder, "ca.pem"), files.caPem);
  await writeFile(join(folder, "server.pem"), files.certPem);
  await writeFile(join(folder, "server.key"), files.keyPem, { mode: 0o600 });
  return files;
}

function ownTls(): SlapdTls {
  const authority = createCertificateAuthority();
  return { caPem: authority.certPem, ...authority.issue({ names: ["localhost", "127.0.0.1", "::1"] }) };
}

// Ubuntu's AppArmor profile confines slapd, by the path of its binary, to the system's folders; a copy is free of it.
async function slapdBinary(folder: string): Promise<string> {
  const installed = ["/usr/sbin/slapd", "/usr/libexec/slapd"].find((path) => existsSync(path)) ?? "slapd";
  if (!existsSync("/etc/apparmor.d/usr.sbin.slapd")) return installed;
  const copy = join(folder, "slapd");
  await copyFile(installed, copy);
  return copy;
}

// Another process can take a port between choosing and binding it, hence some tries.
async function startProcess(folder: string, binary: string, configFile: string, withTls: boolean) {
  for (let left = 5; ; left -= 1) {
    const port = await freePort();
    const ldapsPort = withTls ? await freePort() : 0;
    try {
      return { child: await spawnSlapd(folder, binary, configFile, port, ldapsPort), port, ldapsPort };
    } catch (error) {
      if (left === 0 || !/daemon_init|bind\(/.test(String(error))) throw error;
    }
  }
}

async function spawnSlapd(
  folder: string,
  binary: string,
  configFile: string,
  port: number,
  ldapsPort: number,
): Promise<ChildProcess> {
  const urls = [`ldap://127.0.0.1:${port}`, ...(ldapsPort === 0 ? [] : [`ldaps://127.0.0.1:${ldapsPort}`])];
  const pidFile = join(folder, "slapd.pid");
  await rm(pidFile, { force: true });
  const logFile = join(folder, "slapd.log");
  const log = openSync(logFile, "w", 0o600);
  const serve = [binary, "-d", "none", "-h", urls.join(" "), "-f", configFile]; // -d also keeps it in the foreground
  // Where the kernel can do it, slapd ends with the process that started it, even when that one is killed.
  const [command = binary, ...rest] = existsSync("/usr/bin/setpriv")
    ? ["/usr/bin/setpriv", "--pdeathsig", "TERM", ...serve]
    : serve;
  const child = spawn(command, rest, { stdio: ["ignore", log, log] });
  closeSync(log);
  let failure: Error | undefined;
  child.once("error", (error) => {
    failure = error;
  });
  // slapd writes its pid once its ports are bound and its database is open, and listens a moment later.
  while (
    (await readFile(pidFile, "utf8").catch(() => "")).trim() !== String(child.pid) ||
    !(await accepts(port))
  ) {
    if (failure !== undefined || child.exitCode !== null || child.signalCode !== null) {
      const said = await readFile(logFile, "utf8");
      throw new Error(`slapd did not start: ${said.trim()}`, { cause: failure });
    }
    await sleep(5);
  }
  return child;
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

// Below the range from which kernels take ports for outgoing connections, so that restart() finds its port free.
async function freePort(): Promise<number> {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

async function end(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = ended(child);
  child.kill("SIGCONT"); // a test may have stopped it
  child.kill(signal);
  // slapd waits for its clients' operations; five seconds are far more than a test leaves open.
  const force = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await gone;
  clearTimeout(force);
}

// A kept folder may have a server from a start that was killed; it is ended only if it is surely this folder's.
async function endStaleServer(folder: string): Promise<void> {
  const pid = Number((await readFile(join(folder, "slapd.pid"), "utf8").catch(() => "")).trim());
  if (!Number.isInteger(pid) || pid <= 1) return;
  try {
    const command = execFileSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8" });
    if (!command.includes(join(folder, "slapd.conf"))) return;
    process.kill(pid, "SIGKILL");
    await sleep(100);
  } catch {
    // ps ends with 1 where no such process lives.
  }
}

/** Runs a program to its end and returns what it printed; throws with its error output. */
async function run(command: string, args: string[], input = ""): Promise<string> {
  const child = spawn(command, args, { env: { ...process.env, LDAPNOINIT: "1" } }); // no ldaprc of the user
  const printed: Buffer[] = [];
  const complained: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => printed.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => complained.push(chunk));
  child.stdin.on("error", () => {}); // the program may end before it has read all; its exit code tells
  child.stdin.end(input);
  const [code] = await once(child, "close");
  if (code !== 0) {
    const said = Buffer.concat(complained).toString().trim();
    throw new Error(`${command} ended with ${code}: ${said}`);
  }
  return Buffer.concat(printed).toString();
}
