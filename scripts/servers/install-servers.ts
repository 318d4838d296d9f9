// Finds the servers and tools that tests, the demo and the bench run privately, and installs missing ones on Debian and
// Ubuntu. Never starts or enables a system service, and never asks a question.
//
//   node scripts/servers/install-servers.ts slapd postgresql

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

export type ServerName =
  | "slapd"
  | "samba"
  | "ldb"
  | "389-ds"
  | "postgresql"
  | "chromium"
  | "oathtool"
  | "zbar"
  | "freeradius"
  | "openssh"
  | "sudo"
  | "pam-radius"
  | "python3"
  | "php"
  | "go"
  | "java"
  | "nginx"
  | "apache"
  | "caddy"
  | "haproxy"
  | "lemonldap";

interface Server {
  packages: string[];
  /** Each entry is one program, or one module that programs load, under any of its names. */
  programs: string[][];
  folders: () => string[];
  /** Units that the packages would start at the next boot. */
  units: string[];
}

const servers: Record<ServerName, Server> = {
  slapd: {
    packages: ["slapd", "ldap-utils"],
    programs: [["slapd"], ["ldapsearch"], ["ldapadd"], ["ldapmodify"]],
    folders: () => ["/usr/sbin", "/usr/libexec"],
    units: ["slapd"],
  },
  // An Active Directory domain controller, and what makes a domain for it.
  samba: {
    packages: ["samba", "samba-ad-dc", "samba-ad-provision", "samba-dsdb-modules", "ldap-utils"],
    programs: [["samba"], ["samba-tool"], ["ldapsearch"], ["ldapadd"], ["ldapmodify"]],
    folders: () => ["/usr/sbin"],
    units: ["samba-ad-dc", "smbd", "nmbd", "winbind"],
  },
  // Writes to the files of a Samba domain.
  ldb: { packages: ["ldb-tools"], programs: [["ldbadd"]], folders: () => [], units: [] },
  "389-ds": {
    packages: ["389-ds-base", "ldap-utils"],
    programs: [["ns-slapd"], ["dscreate"], ["ldapsearch"], ["ldapadd"], ["ldapmodify"]],
    folders: () => ["/usr/sbin"],
    units: [],
  },
  postgresql: {
    packages: ["postgresql"],
    programs: [["postgres"], ["initdb"], ["psql"], ["pgbench"]],
    folders: postgresFolders,
    units: ["postgresql"],
  },
  chromium: {
    packages: ["chromium"],
    programs: [["chromium", "chromium-browser", "google-chrome"]],
    folders: () => [],
    units: [],
  },
  oathtool: { packages: ["oathtool"], programs: [["oathtool"]], folders: () => [], units: [] },
  freeradius: {
    packages: ["freeradius", "freeradius-rest", "freeradius-ldap", "freeradius-utils"],
    programs: [["freeradius", "radiusd"], ["radclient"]],
    folders: () => ["/usr/sbin"],
    units: ["freeradius"],
  },
  openssh: {
    packages: ["openssh-server", "openssh-client"],
    programs: [["sshd"], ["ssh"], ["ssh-keygen"]],
    folders: () => ["/usr/sbin"],
    units: ["ssh"],
  },
  sudo: { packages: ["sudo"], programs: [["sudo"]], folders: () => [], units: [] },
  "pam-radius": {
    packages: ["libpam-radius-auth"],
    // Where Debian and Ubuntu put PAM's modules, by machine.
    programs: [["pam_radius_auth.so"]],
    folders: () => ["/lib/security", "/lib/x86_64-linux-gnu/security", "/lib/aarch64-linux-gnu/security"],
    units: [],
  },
  python3: { packages: ["python3"], programs: [["python3"]], folders: () => [], units: [] },
  php: { packages: ["php-cli", "php-curl"], programs: [["php"]], folders: () => [], units: [] },
  go: { packages: ["golang-go"], programs: [["go"]], folders: () => [], units: [] },
  java: { packages: ["default-jdk-headless"], programs: [["java"], ["javac"]], folders: () => [], units: [] },
  nginx: { packages: ["nginx-light"], programs: [["nginx"]], folders: () => ["/usr/sbin"], units: ["nginx"] },
  apache: {
    packages: ["apache2", "lua-socket"],
    programs: [["apache2"]],
    folders: () => ["/usr/sbin"],
    units: ["apache2"],
  },
  caddy: { packages: ["caddy"], programs: [["caddy"]], folders: () => [], units: ["caddy", "caddy-api"] },
  haproxy: {
    packages: ["haproxy"],
    programs: [["haproxy"]],
    folders: () => ["/usr/sbin"],
    units: ["haproxy"],
  },
  // Portal and handler, and modules that the packages only recommend and the portal does not start without: for passwords in a
  // directory, pictures of letters, and OIDC (the last two).
  lemonldap: {
    packages: [
      "liblemonldap-ng-portal-perl",
      "lemonldap-ng-fastcgi-server",
      "libnet-ldap-perl",
      "libio-socket-timeout-perl",
      "libunicode-string-perl",
      "libio-string-perl",
      "libgd-securityimage-perl",
      "libimage-magick-perl",
      "libcrypt-openssl-bignum-perl",
      "libstring-random-perl",
    ],
    programs: [
      ["llng-fastcgi-server"],
      ["Net/LDAP.pm"],
      ["IO/Socket/Timeout.pm"],
      ["Unicode/String.pm"],
      ["IO/String.pm"],
      ["GD/SecurityImage.pm"],
      ["Image/Magick.pm"],
      ["Crypt/OpenSSL/Bignum.pm"],
      ["String/Random.pm"],
    ],
    folders: () => ["/usr/sbin", ...perlFolders()],
    units: ["lemonldap-ng-fastcgi-server"],
  },
  zbar: { packages: ["zbar-tools"], programs: [["zbarimg"]], folders: () => [], units: [] },
};

const oldestPostgres = 14; // the oldest major version that dirmfa supports

/**
 * Resolves to the paths of the programs, by the first of their names (`slapd`, `ldapsearch`, `postgres`, `psql`, ...).
 * Throws an Error that names the packages and the command to type, where they are missing and cannot be installed.
 */
export async function ensureServers(names: readonly ServerName[]): Promise<Record<string, string>> {
  const wanted = names.map((name) => servers[name]);
  const missing = wanted.filter((server) => findPrograms(server) === undefined);
  if (missing.length > 0) await install(missing);
  const found: Record<string, string> = {};
  for (const server of wanted) {
    const programs = findPrograms(server);
    if (programs === undefined) {
      throw new Error(`${server.packages.join(" and ")} installed, yet programs of it are missing`);
    }
    Object.assign(found, programs);
  }
  return found;
}

function findPrograms(server: Server): Record<string, string> | undefined {
  const folders = [...server.folders(), ...(process.env.PATH ?? "").split(":")];
  const found: Record<string, string> = {};
  for (const names of server.programs) {
    const path = folders.flatMap((folder) => names.map((name) => join(folder, name))).find(isExecutable);
    if (path === undefined || names[0] === undefined) return undefined;
    found[names[0]] = path;
  }
  return found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, /\.(so|pm)$/.test(path) ? constants.R_OK : constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

// Debian keeps the server's programs off PATH, one folder a major version; the newest wins.
function postgresFolders(): string[] {
  const root = "/usr/lib/postgresql";
  try {
    const versions = readdirSync(root)
      .map(Number)
      .filter((version) => version >= oldestPostgres);
    return versions.sort((a, b) => b - a).map((version) => join(root, String(version), "bin"));
  } catch {
    return [];
  }
}

// Modules in Perl stand in one folder, those with machine code in one for each machine and version.
function perlFolders(): string[] {
  const libraries = readdirSync("/usr/lib").filter((name) => name.endsWith("-linux-gnu"));
  const ofMachine = libraries
    .map((name) => join("/usr/lib", name, "perl5"))
    .filter((path) => existsSync(path));
  return [
    "/usr/share/perl5",
    ...ofMachine.flatMap((path) => readdirSync(path).map((name) => join(path, name))),
  ];
}

async function install(missing: Server[]): Promise<void> {
  const packages = missing.flatMap((server) => server.packages);
  const command = `apt-get install --no-install-recommends ${packages.join(" ")}`;
  const prefix = await rootPrefix();
  if (!isExecutable("/usr/bin/apt-get")) {
    throw new Error(
      `Missing: ${packages.join(", ")} (names of the Debian packages). Install them with this system's package manager.`,
    );
  }
  if (prefix === undefined) throw new Error(`Missing: ${packages.join(", ")}. Install with: sudo ${command}`);
  process.stderr.write(`Installing ${packages.join(", ")} with apt-get; no service is started.\n`);
  const [program = "sh", ...rest] = [...prefix, "sh", "-c", installScript, "install", ...packages];
  const child = spawn(program, rest, {
    env: { ...process.env, UNITS: missing.flatMap((server) => server.units).join(" ") },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  const keep = (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4_000); // apt-get says what went wrong at the end
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`Could not install ${packages.join(", ")}. Try: sudo ${command}\n${said}`);
}

/** How to become root without a question: [] as root, sudo where it asks no password, undefined otherwise. */
async function rootPrefix(): Promise<string[] | undefined> {
  if (process.getuid?.() === 0) return [];
  try {
    await promisify(execFile)("sudo", ["-n", "true"]);
    return ["sudo", "-n", "--preserve-env=UNITS"];
  } catch {
    return undefined;
  }
}

// Run as root. Under our own lock, since `apt-get update` fails at once where another one runs; the loop covers strangers.
// policy-rc.d with 101 is Debian's way to say that packages may not start their services.
const installScript = `
set -eu
export DEBIAN_FRONTEND=noninteractive
exec 9> /var/lock/dirmfa-install.lock
flock 9
if [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
if command -v debconf-set-selections > /dev/null; then
  echo 'slapd slapd/no_configuration boolean true' | debconf-set-selections
fi
for try in 1 2 3 4 5 6 7 8 9 10; do
  if apt-get update -qq; then break; fi
  sleep 3
done
apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=600 "$@" < /dev/null
if [ -d /run/systemd/system ]; then
  for unit in $UNITS; do systemctl disable --quiet "$unit" || true; done
fi
`;

if (import.meta.main) {
  const names = process.argv.slice(2).filter((name): name is ServerName => name in servers);
  if (names.length === 0 || names.length !== process.argv.length - 2) {
    process.stderr.write(
      `Usage: node scripts/servers/install-servers.ts ${Object.keys(servers).join("|")} ...\n`,
    );
    process.exitCode = 2;
  } else {
    try {
      for (const [name, path] of Object.entries(await ensureServers(names))) console.log(`${name} ${path}`);
    } catch (error) {
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode = 1;
    }
  }
}
