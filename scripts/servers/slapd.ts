// A private OpenLDAP server: own folder, own loopback port, own passwords, run as the current user. Started by tests,
// the demo and the bench; never touches a slapd of the system.

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { DirectoryConfig } from "../../src/config/config.ts";
import { createCertificateAuthority } from "./certificates.ts";
import { type DataCopy, dataCopyOf } from "./data-copy.ts";
import { processInPidFile } from "./end-with-parent.ts";
import { ensureServers } from "./install-servers.ts";
import { ldapTools, run } from "./ldap-tools.ts";
import type { LdifEntry } from "./ldif.ts";
import { baseEntries, slapdConfiguration } from "./slapd-configuration.ts";
import { endOf, endSlapd, launchSlapd, type SlapdLaunch, spawnSlapd } from "./slapd-process.ts";
import { usualLimits } from "./usual-limits.ts";

export type Overlay = "memberof" | "ppolicy" | "syncprov" | "dynlist";

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
  /** Further slapd.conf lines before those of the database. */
  globalLines?: string[];
  /** Further slapd.conf lines of the database. */
  databaseLines?: string[];
  overlays?: Overlay[];
  /** Adds ldaps:// and StartTLS: `true` makes a certificate for localhost, 127.0.0.1 and ::1. */
  tls?: boolean | SlapdTls;
  /** A folder to keep: data, passwords and port are found again by the next start. Default: a temporary one. */
  folder?: string;
}

export interface Slapd extends DataCopy {
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

/** Starts a server and resolves when it answers. Throws with slapd's own words when it does not start. */
export async function startSlapd(options: SlapdOptions = {}): Promise<Slapd> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), "dirmfa-slapd-")));
  const removeFolder = async () => {
    if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
  };
  try {
    return await startIn(folder, options, removeFolder);
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

async function startIn(
  folder: string,
  options: SlapdOptions,
  removeFolder: () => Promise<void>,
): Promise<Slapd> {
  const programs = await ensureServers(["slapd"]);
  await mkdir(folder, { recursive: true });
  await endStaleServer(folder);
  const suffix = options.suffix ?? "dc=example,dc=org";
  const adminDn = `cn=admin,${suffix}`;
  const syncDn = `cn=dirmfa,ou=services,${suffix}`;
  const adminPasswordFile = join(folder, "admin.password");
  const syncPasswordFile = join(folder, "sync.password");
  const adminPassword = await passwordIn(adminPasswordFile);
  const syncPassword = await passwordIn(syncPasswordFile);
  const tls = await writeTlsFiles(folder, options.tls ?? false);
  const configuration = slapdConfiguration({ folder, suffix, adminDn, adminPassword, syncDn, options });
  await writeFile(join(folder, "slapd.conf"), configuration, { mode: 0o600 }); // holds the admin's password
  const launch: SlapdLaunch = {
    binary: await unconfined(programs.slapd ?? "slapd", folder),
    folder,
    withTls: tls !== undefined,
  };

  // The mark comes last, so that a folder whose loading was killed is loaded again.
  const loadedMark = join(folder, "loaded");
  const isNew = !existsSync(loadedMark);
  if (isNew) await loadDatabase(launch, baseEntries(suffix, syncDn, syncPassword), options);
  const launched = await launchSlapd(launch);
  let child = launched.child;
  const { port, ldapsPort } = launched.ports;
  const url = `ldap://127.0.0.1:${port}`;
  const asAdmin = ["-x", "-H", url, "-D", adminDn, "-y", adminPasswordFile];
  const stop = async () => {
    await endSlapd(child, "SIGTERM");
    await removeFolder();
  };
  try {
    // "relax" lets the text set operational attributes, such as entryUUID.
    if (isNew && loadsOverLdap(options)) await run("ldapadd", [...asAdmin, "-e", "!relax"], options.ldif);
    await writeFile(loadedMark, "");
  } catch (error) {
    await stop();
    throw error;
  }

  const whileStopped = async (work: () => Promise<void>) => {
    await endSlapd(child, "SIGTERM");
    await work();
    child = await spawnSlapd(launch, launched.ports);
  };
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
    exited: () => endOf(child),
    ...ldapTools({ asAdmin, suffix }),
    kill: () => endSlapd(child, "SIGKILL"),
    restart: () => whileStopped(async () => {}),
    ...dataCopyOf(join(folder, "data"), whileStopped),
    stop,
  };
}

// The memberof overlay fills memberOf only for what arrives over LDAP, not for what slapadd loads.
function loadsOverLdap(options: SlapdOptions): boolean {
  return options.overlays?.includes("memberof") === true && options.ldif !== undefined;
}

async function loadDatabase(launch: SlapdLaunch, base: string, options: SlapdOptions): Promise<void> {
  const dataFolder = join(launch.folder, "data");
  await rm(dataFolder, { recursive: true, force: true });
  await mkdir(dataFolder);
  const slapadd = ["-T", "add", "-f", join(launch.folder, "slapd.conf")];
  await run(launch.binary, slapadd, `${base}\n${loadsOverLdap(options) ? "" : (options.ldif ?? "")}`);
  if (options.ldifFile !== undefined) await run(launch.binary, [...slapadd, "-q", "-l", options.ldifFile]);
}

/** What a test hands to the code under test to sync from this server; plain LDAP unless overridden. */
export function directoryConfigFor(
  slapd: Pick<Slapd, "url" | "caPem" | "suffix" | "syncDn" | "syncPassword">,
  overrides: Partial<DirectoryConfig> = {},
): DirectoryConfig {
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
    limits: {
      ...usualLimits,
      confirmRemovals: 1,
      pageSize: 500,
      messageBytes: 16 * 1024 * 1024,
    },
    timeouts: { connectMs: 5_000, idleMs: 10_000, listingMs: 600_000 },
    onDemand: { enabled: true, timeoutMs: 2_000, perMinute: 60, unknownForMs: 60_000 },
    ...overrides,
  };
}

/** The password in the file, which is made with a new one where it is missing. */
export async function passwordIn(path: string): Promise<string> {
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
async function unconfined(slapd: string, folder: string): Promise<string> {
  if (!existsSync("/etc/apparmor.d/usr.sbin.slapd")) return slapd;
  const copy = join(folder, "slapd");
  await copyFile(slapd, copy);
  return copy;
}

// A kept folder may have a server from a start that was killed; it is ended only if it is surely this folder's.
async function endStaleServer(folder: string): Promise<void> {
  const pid = processInPidFile(join(folder, "slapd.pid"), join(folder, "slapd.conf"));
  if (pid === undefined) return;
  process.kill(pid, "SIGKILL");
  await sleep(100); // the kernel frees its port and its lock on the data
}
