// A private 389 Directory Server: own folder, own loopback port, own passwords. Started from the package's own template,
// as the package's user where the tests run as root.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chown, copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { DirectoryConfig } from "../../src/config/config.ts";
import { type DataCopy, dataCopyOf } from "./data-copy.ts";
import { endingWithParent } from "./end-with-parent.ts";
import { ensureServers } from "./install-servers.ts";
import { type LdapTools, ldapTools } from "./ldap-tools.ts";
import { ldifEntry } from "./ldif.ts";
import { accepts, freePort } from "./ports.ts";
import { directoryConfigFor, passwordIn } from "./slapd.ts";
import { endSlapd } from "./slapd-process.ts";

export interface Ds389 extends LdapTools, DataCopy {
  readonly url: string;
  readonly port: number;
  readonly caPem: undefined;
  readonly suffix: string;
  readonly adminDn: string;
  readonly adminPassword: string;
  /** An ordinary entry that an ACI lets read everything, without limits. */
  readonly syncDn: string;
  readonly syncPassword: string;
  readonly syncPasswordFile: string;
  /** Ends the process at once, as a crash does; the data stays for restart(). */
  kill(): Promise<void>;
  restart(): Promise<void>;
  /** The process is gone and the folder removed when this resolves. */
  stop(): Promise<void>;
}

const suffix = "dc=example,dc=org";
const adminDn = "cn=Directory Manager";
const syncDn = `cn=dirmfa,ou=services,${suffix}`;

/** Starts a server with the suffix, ou=people, ou=groups and ou=services in it. */
export async function startDs389(): Promise<Ds389> {
  const programs = await ensureServers(["389-ds"]);
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-389ds-"));
  const removeFolder = () => rm(folder, { recursive: true, force: true });
  try {
    const port = await freePort();
    const owner = await findOwner();
    const adminPasswordFile = join(folder, "admin.password");
    const adminPassword = await passwordIn(adminPasswordFile);
    await writeFiles({ folder, port, user: owner?.name ?? userInfo().username, adminPassword });
    if (owner !== undefined) await giveTo(owner, folder);
    const start = () => spawnServer(programs["ns-slapd"] ?? "ns-slapd", folder, port, owner);
    let child = await start();
    const url = `ldap://127.0.0.1:${port}`;
    const tools = ldapTools({ asAdmin: ["-x", "-H", url, "-D", adminDn, "-y", adminPasswordFile], suffix });
    const syncPasswordFile = join(folder, "sync.password");
    const syncPassword = await passwordIn(syncPasswordFile);
    const stop = async () => {
      await endSlapd(child, "SIGTERM");
      await removeFolder();
    };
    try {
      await tools.add(backend(folder) + baseEntries(syncPassword));
      // The first entry has the number -1 until it is written again; after a restart the server would count on from there.
      await tools.modify(`dn: ${suffix}\nchangetype: modify\nreplace: description\ndescription: tests\n\n`);
    } catch (error) {
      await stop();
      throw error;
    }
    const whileStopped = async (work: () => Promise<void>) => {
      await endSlapd(child, "SIGTERM");
      await work();
      child = await start();
    };
    return {
      ...tools,
      url,
      port,
      caPem: undefined,
      suffix,
      adminDn,
      adminPassword,
      syncDn,
      syncPassword,
      syncPasswordFile,
      kill: () => endSlapd(child, "SIGKILL"),
      restart: () => whileStopped(async () => {}),
      ...dataCopyOf(join(folder, "db"), whileStopped),
      stop,
    };
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

/** What a test hands to the code under test to sync from this server. */
export function directoryConfigForDs389(
  server: Ds389,
  overrides: Partial<DirectoryConfig> = {},
): DirectoryConfig {
  return directoryConfigFor(server, { kind: "389ds", ...overrides });
}

interface Owner {
  name: string;
  uid: number;
  gid: number;
}

// As root it becomes the user that its package makes; started as that user, it needs no root at all.
async function findOwner(): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const id = async (option: string) => Number((await promisify(execFile)("id", [option, "dirsrv"])).stdout);
  return { name: "dirsrv", uid: await id("-u"), gid: await id("-g") };
}

async function giveTo({ uid, gid }: Owner, folder: string): Promise<void> {
  await chown(folder, uid, gid);
  for (const path of await readdir(folder, { recursive: true })) await chown(join(folder, path), uid, gid);
}

const folders = ["config", "config/schema", "db", "log", "lock", "run", "tmp", "ldif", "bak", "inst"];
const packageFolders = ["/usr/share/dirsrv/data", "/etc/dirsrv/config", "/etc/dirsrv/schema"] as const;

async function writeFiles(server: {
  folder: string;
  port: number;
  user: string;
  adminPassword: string;
}): Promise<void> {
  const { folder } = server;
  const [templates, configFiles, schema] = packageFolders;
  for (const name of folders) await mkdir(join(folder, name));
  for (const name of ["slapd-collations.conf", "certmap.conf"]) {
    await copyFile(join(configFiles, name), join(folder, "config", name));
  }
  await copyFile(join(schema, "99user.ldif"), join(folder, "config", "schema", "99user.ldif"));
  const template = await readFile(join(templates, "template-dse.ldif"), "utf8");
  const at = (name: string) => join(folder, name);
  const words: Record<string, string> = {
    bak_dir: at("bak"),
    cert_dir: at("config"),
    config_dir: at("config"),
    db_dir: at("db"),
    db_home_dir: at("db"),
    db_lib: "bdb",
    ds_passwd: saltedHash(server.adminPassword),
    ds_port: String(server.port),
    ds_suffix: suffix,
    ds_user: server.user,
    fqdn: "localhost\nnsslapd-listenhost: 127.0.0.1",
    inst_dir: at("inst"),
    ldapi: at("ldapi.socket"),
    ldapi_autobind: "off",
    ldapi_enabled: "off",
    ldif_dir: at("ldif"),
    lock_dir: at("lock"),
    log_dir: at("log"),
    rootdn: adminDn,
    run_dir: at("run"),
    schema_dir: at("config/schema"),
    tmp_dir: at("tmp"),
  };
  const configuration = template
    .replace(/%([a-z_]+)%/g, (whole, name: string) => words[name] ?? whole)
    // Numbers changes, for incremental runs.
    .replace(/(cn: USN\n(?:nsslapd-.*\n)*?nsslapd-pluginenabled: )off/, "$1on");
  await writeFile(join(folder, "config", "dse.ldif"), configuration, { mode: 0o600 });
}

// The server takes the configuration's password only as a hash; this scheme is one that Node can make too.
function saltedHash(passwordPlain: string): string {
  const salt = randomBytes(8);
  const digest = createHash("sha512").update(passwordPlain).update(salt).digest();
  return `{SSHA512}${Buffer.concat([digest, salt]).toString("base64")}`;
}

function backend(folder: string): string {
  return (
    ldifEntry("cn=userRoot,cn=ldbm database,cn=plugins,cn=config", [
      ["objectClass", "extensibleObject"],
      ["objectClass", "nsBackendInstance"],
      ["cn", "userRoot"],
      ["nsslapd-suffix", suffix],
      ["nsslapd-directory", join(folder, "db", "userRoot")],
    ]) +
    ldifEntry(`cn="${suffix}",cn=mapping tree,cn=config`, [
      ["objectClass", "extensibleObject"],
      ["objectClass", "nsMappingTree"],
      ["cn", suffix],
      ["nsslapd-state", "backend"],
      ["nsslapd-backend", "userRoot"],
    ])
  );
}

// What docs/directories.md asks an admin to lift; the look-through limit is 5,000 otherwise.
const limits = ["nsPagedLookThroughLimit", "nsLookThroughLimit", "nsPagedSizeLimit", "nsTimeLimit"];

function baseEntries(syncPassword: string): string {
  const mayRead = `(targetattr="*")(version 3.0; acl "dirmfa reads"; allow (read,search,compare) userdn="ldap:///${syncDn}";)`;
  const units = ["people", "groups", "services"].map((ou) =>
    ldifEntry(`ou=${ou},${suffix}`, [
      ["objectClass", "organizationalUnit"],
      ["ou", ou],
    ]),
  );
  return (
    ldifEntry(suffix, [
      ["objectClass", "domain"],
      ["dc", "example"],
      ["aci", mayRead],
    ]) +
    units.join("") +
    ldifEntry(syncDn, [
      ["objectClass", "organizationalRole"],
      ["objectClass", "simpleSecurityObject"],
      ["cn", "dirmfa"],
      ["userPassword", syncPassword],
      ...limits.map((name) => [name, "-1"] as const),
    ])
  );
}

async function spawnServer(
  binary: string,
  folder: string,
  port: number,
  owner: Owner | undefined,
): Promise<ChildProcess> {
  const pidFile = join(folder, "run", "server.pid");
  const serve = ["-D", join(folder, "config"), "-i", pidFile, "-d", "0"]; // -d keeps it in the foreground
  const [command, ...rest] = endingWithParent([binary, ...serve]);
  const child = spawn(command, rest, {
    cwd: folder,
    stdio: ["ignore", "ignore", "pipe"],
    ...(owner === undefined ? {} : { uid: owner.uid, gid: owner.gid }),
  });
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4_000);
  });
  await rm(pidFile, { force: true });
  while (!existsSync(pidFile) || !(await accepts(port))) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`389-ds did not start: ${said}`);
    await sleep(20);
  }
  return child;
}
