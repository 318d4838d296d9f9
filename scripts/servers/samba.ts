// A private Active Directory domain controller (Samba): own folder, own loopback address, own CA and passwords. The domain
// controller has no choice of ports, so its address is its own: one of 127.0.0.0/8 that nobody else listens on.

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { DirectoryConfig } from "../../src/config/config.ts";
import { createCertificateAuthority } from "./certificates.ts";
import { type DataCopy, dataCopyOf } from "./data-copy.ts";
import { endingWithParent } from "./end-with-parent.ts";
import { ensureServers } from "./install-servers.ts";
import { type LdapTools, ldapTools, run } from "./ldap-tools.ts";
import { ldifEntry } from "./ldif.ts";
import { accepts } from "./ports.ts";
import { directoryConfigFor } from "./slapd.ts";
import { endSlapd } from "./slapd-process.ts";

export interface Samba extends LdapTools, DataCopy {
  /** ldaps://, since Samba refuses unencrypted simple binds. */
  readonly url: string;
  /** ldap:// of the same server. */
  readonly plainUrl: string;
  readonly address: string;
  readonly caPem: string;
  readonly caFile: string;
  readonly suffix: string;
  readonly domain: string;
  readonly adminDn: string;
  readonly adminPassword: string;
  /** An ordinary user, who may read but not write. */
  readonly syncDn: string;
  readonly syncPassword: string;
  readonly syncPasswordFile: string;
  /** Adds entries in the server's files, in one transaction: many times as fast as LDAP where there are thousands. */
  addMany(ldif: string): Promise<void>;
  /** Brings a deleted object back under `dn`, as the domain's admin tools do. */
  undelete(guid: string, dn: string): Promise<void>;
  /** Hides an attribute of the entries below `dn` from everybody; `schemaId` is its schemaIDGUID. */
  hideAttribute(dn: string, schemaId: string): Promise<void>;
  /** Ends the process at once, as a crash does; the data stays for restart(). */
  kill(): Promise<void>;
  restart(): Promise<void>;
  /** The process is gone and the folder removed when this resolves. */
  stop(): Promise<void>;
}

const realm = "ad.example.org";
const suffix = "DC=ad,DC=example,DC=org";
const domain = "EXAMPLE";
const showDeletedControl = "1.2.840.113556.1.4.417"; // [MS-ADTS] 3.1.1.3.4.1.14

/** Makes a domain, which takes some ten seconds, and starts its controller. Needs root, as Samba does. */
export async function startSamba(): Promise<Samba> {
  if (process.getuid?.() !== 0) {
    throw new Error(
      "Samba's domain controller runs as root only: run these tests as root, in a container for example.",
    );
  }
  const programs = await ensureServers(["samba"]);
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-samba-"));
  const removeFolder = () => rm(folder, { recursive: true, force: true });
  try {
    const address = await freeAddress();
    const adminPassword = password();
    await writeFiles(folder, address);
    await provision(programs["samba-tool"] ?? "samba-tool", folder, address, adminPassword);
    const start = () => spawnSamba(programs.samba ?? "samba", folder, address);
    return await runningSamba(folder, address, adminPassword, start, removeFolder);
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

async function runningSamba(
  folder: string,
  address: string,
  adminPassword: string,
  start: () => Promise<ChildProcess>,
  removeFolder: () => Promise<void>,
): Promise<Samba> {
  let child = await start();
  const url = `ldaps://${address}`;
  const caFile = join(folder, "ca.pem");
  const adminDn = `CN=Administrator,CN=Users,${suffix}`;
  const adminPasswordFile = await passwordFile(folder, "admin", adminPassword);
  const bind = ["-x", "-H", url, "-D", adminDn, "-y", adminPasswordFile];
  const asAdmin = [...bind, "-o", `TLS_CACERT=${caFile}`];
  const tools = ldapTools({ asAdmin, suffix });
  const syncDn = `CN=dirmfa,CN=Users,${suffix}`;
  const syncPassword = password();
  await tools.add(account(syncDn, "dirmfa", syncPassword));
  const whileStopped = async (work: () => Promise<void>) => {
    await endSlapd(child, "SIGTERM");
    await work();
    child = await start();
  };
  return {
    ...tools,
    url,
    plainUrl: `ldap://${address}`,
    address,
    caPem: await readFile(caFile, "utf8"),
    caFile,
    suffix,
    domain,
    adminDn,
    adminPassword,
    syncDn,
    syncPassword,
    syncPasswordFile: await passwordFile(folder, "sync", syncPassword),
    addMany: async (ldif) => {
      const { ldbadd = "ldbadd" } = await ensureServers(["ldb"]);
      const files = [
        `--configfile=${join(folder, "smb.conf")}`,
        "-H",
        join(folder, "domain/private/sam.ldb"),
      ];
      await run(ldbadd, files, ldif);
    },
    undelete: async (guid, dn) => {
      const lines = ["changetype: modify", "delete: isDeleted", "-", "replace: distinguishedName"];
      const [first = ""] = dn.split(","); // no name with a comma is brought back here
      const deletedDn = `${first}\\0ADEL:${guid},CN=Deleted Objects,${suffix}`;
      const ldif = [`dn: ${deletedDn}`, ...lines, `distinguishedName: ${dn}`, ""].join("\n");
      await run("ldapmodify", [...asAdmin, "-e", `!${showDeletedControl}`], ldif);
    },
    hideAttribute: async (dn, schemaId) => {
      const { "samba-tool": sambaTool = "samba-tool" } = await ensureServers(["samba"]);
      // [MS-DTYP] 2.5.1: an object deny, inherited by all below, of reading this property, to everyone.
      const sddl = `(OD;CI;RP;${schemaId};;WD)`;
      const files = [
        `--configfile=${join(folder, "smb.conf")}`,
        "-H",
        join(folder, "domain/private/sam.ldb"),
      ];
      await run(sambaTool, ["dsacl", "set", ...files, `--objectdn=${dn}`, `--sddl=${sddl}`]);
    },
    kill: () => endSlapd(child, "SIGKILL"),
    restart: () => whileStopped(async () => {}),
    ...dataCopyOf(join(folder, "domain"), whileStopped),
    stop: async () => {
      await endSlapd(child, "SIGTERM");
      await removeFolder();
    },
  };
}

/** LDIF of a user with a password, who can bind. */
export function account(dn: string, name: string, passwordPlain: string): string {
  return ldifEntry(dn, [
    ["objectClass", "user"],
    ["sAMAccountName", name],
    ["userPrincipalName", `${name}@${realm}`],
    ["unicodePwd", Buffer.from(`"${passwordPlain}"`, "utf16le")], // [MS-ADTS] 3.1.1.3.1.5.1
    ["userAccountControl", "512"],
  ]);
}

/** What a test hands to the code under test to sync from this server, over TLS. */
export function directoryConfigForSamba(
  samba: Samba,
  overrides: Partial<DirectoryConfig> = {},
): DirectoryConfig {
  return directoryConfigFor(samba, {
    kind: "active-directory",
    tls: { startTls: false, caPem: samba.caPem, serverName: undefined, allowPlaintext: false },
    ...overrides,
  });
}

// Upper and lower case and digits, as the domain's password policy wants them.
function password(): string {
  return `Aa1${randomBytes(15).toString("hex")}`;
}

async function passwordFile(folder: string, name: string, passwordPlain: string): Promise<string> {
  const path = join(folder, `${name}.password`);
  await writeFile(path, passwordPlain, { mode: 0o600 });
  return path;
}

async function freeAddress(): Promise<string> {
  for (;;) {
    const address = `127.${randomInt(1, 255)}.${randomInt(0, 255)}.${randomInt(1, 255)}`;
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(636, address, () => resolve(true));
    });
    if (!free) continue;
    server.close();
    await once(server, "close");
    return address;
  }
}

async function writeFiles(folder: string, address: string): Promise<void> {
  const authority = createCertificateAuthority();
  const { certPem, keyPem } = authority.issue({ names: [address, `dc1.${realm}`] });
  await writeFile(join(folder, "ca.pem"), authority.certPem);
  await writeFile(join(folder, "server.pem"), certPem);
  await writeFile(join(folder, "server.key"), keyPem, { mode: 0o600 }); // Samba refuses a key that others may read
  await writeFile(join(folder, "smb.conf"), configuration(folder, address));
}

// Only the LDAP service: no file server, no Kerberos, no name service.
function configuration(folder: string, address: string): string {
  const at = (...path: string[]) => join(folder, ...path);
  return [
    "[global]",
    "netbios name = DC1",
    `realm = ${realm.toUpperCase()}`,
    `workgroup = ${domain}`,
    "server role = active directory domain controller",
    "server services = ldap",
    `interfaces = ${address}/8`,
    "bind interfaces only = yes",
    `private dir = ${at("domain", "private")}`,
    `state directory = ${at("domain", "state")}`,
    `cache directory = ${at("domain", "cache")}`,
    `lock directory = ${at("domain")}`,
    `pid directory = ${folder}`,
    `ncalrpc dir = ${at("ncalrpc")}`,
    `binddns dir = ${at("domain", "bind-dns")}`,
    `log file = ${at("samba.log")}`,
    `tls cafile = ${at("ca.pem")}`,
    `tls certfile = ${at("server.pem")}`,
    `tls keyfile = ${at("server.key")}`,
    "",
  ].join("\n");
}

async function provision(
  sambaTool: string,
  folder: string,
  address: string,
  adminPassword: string,
): Promise<void> {
  await run(sambaTool, [
    ...["domain", "provision", `--targetdir=${join(folder, "domain")}`],
    ...[`--realm=${realm.toUpperCase()}`, `--domain=${domain}`, "--server-role=dc", "--dns-backend=NONE"],
    ...["--host-name=dc1", `--host-ip=${address}`, `--adminpass=${adminPassword}`],
    ...[`--option=interfaces=${address}/8`, "--option=bind interfaces only=yes", "--option=vfs objects="],
  ]);
}

async function spawnSamba(samba: string, folder: string, address: string): Promise<ChildProcess> {
  const logFile = join(folder, "samba.out");
  const log = openSync(logFile, "w", 0o600);
  // One process without children, which ends with this one; it would otherwise end when its input does.
  const serve = [
    "-F",
    "--no-process-group",
    "-M",
    "single",
    "-s",
    join(folder, "smb.conf"),
    "--debug-stdout",
  ];
  const [command, ...rest] = endingWithParent([samba, ...serve]);
  const child = spawn(command, rest, { stdio: ["pipe", log, log] });
  closeSync(log);
  let failure: Error | undefined;
  child.once("error", (error) => {
    failure = error;
  });
  while (!(await accepts(636, address))) {
    if (failure !== undefined || child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`samba did not start: ${await readFile(logFile, "utf8")}`, { cause: failure });
    }
    await sleep(50);
  }
  return child;
}
