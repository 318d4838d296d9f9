// What the demo puts into its folder: dirmfa's configuration, short scripts for the long commands, and the guide that
// names them.

import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { writeConfigFile } from "../config-file.ts";
import { ldifEntry } from "../servers/ldif.ts";
import type { Slapd } from "../servers/slapd.ts";

export interface DemoPlace {
  folder: string;
  keysFolder: string;
  mainFile: string;
  /** Of the HTTP API. */
  port: number;
  /** Of the example login service. */
  loginPort: number;
  /** Of the console. */
  consolePort: number;
  loginToken: string;
  adminToken: string;
}

/** Of everybody in the demo's directory. It opens nothing but the demo. */
export const demoPassword = "demo";

/** Who one can be in the demo's console. */
export const demoPeople = [
  { uid: "olga", name: "Olga Admin", group: "mfa admins", what: "an admin" },
  { uid: "henry", name: "Henry Helpdesk", group: "help desk", what: "of the help desk" },
  { uid: "aisha", name: "Aisha Auditor", group: "auditors", what: "an auditor" },
] as const;

/** Every 20 seconds, so that a change in LDAP shows soon; six fields, seconds first. */
const schedule = "*/20 * * * * *";

/** They and their groups. */
export function demoPeopleLdif(): string {
  return demoPeople
    .map(({ uid, name, group }) => {
      const dn = `uid=${uid},ou=people,dc=example,dc=org`;
      const person = ldifEntry(dn, [
        ["objectClass", "inetOrgPerson"],
        ["uid", uid],
        ["cn", name],
        ["sn", name.split(" ")[1] ?? name],
        ["mail", `${uid}@example.org`],
        ["userPassword", demoPassword],
      ]);
      const members = ldifEntry(`cn=${group},ou=groups,dc=example,dc=org`, [
        ["objectClass", "groupOfNames"],
        ["cn", group],
        ["member", dn],
      ]);
      return person + members;
    })
    .join("");
}

export async function writeDemoConfig(place: DemoPlace, slapd: Slapd): Promise<void> {
  await mkdir(place.keysFolder, { recursive: true, mode: 0o700 });
  await writeConfigFile({
    path: configPath(place),
    slapd,
    database: { embedded: join(place.folder, "database") },
    keysFolder: place.keysFolder,
    directoryName: "example",
    schedule,
    http: {
      listen: `127.0.0.1:${place.port}`,
      callers: [
        { name: "login-service", tokenSha256: sha256(place.loginToken), scopes: ["login"] },
        { name: "admin", tokenSha256: sha256(place.adminToken), scopes: ["admin", "metrics"] },
      ],
    },
    console: {
      listen: `127.0.0.1:${place.consolePort}`,
      roles: {
        admin: [`cn=mfa admins,ou=groups,${slapd.suffix}`],
        helpDesk: [`cn=help desk,ou=groups,${slapd.suffix}`],
        auditor: [`cn=auditors,ou=groups,${slapd.suffix}`],
      },
    },
    mfa: { requireForNewUsers: true, initialImport: "exempt", issuer: "dirmfa demo" },
  });
}

export function configPath(place: DemoPlace): string {
  return join(place.folder, "dirmfa.yaml");
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** The folder as the reader types it. npm runs scripts in the project's folder; INIT_CWD is where the reader is. */
export function folderAsTyped(place: DemoPlace): string {
  return relative(process.env.INIT_CWD ?? process.cwd(), place.folder) || ".";
}

export async function writeDemoScripts(place: DemoPlace, slapd: Slapd): Promise<void> {
  const scripts = {
    dirmfa: dirmfaScript(place),
    "hire.sh": hireScript(slapd),
    "vanish.sh": moveScript(slapd, {
      from: "ou=people",
      to: "ou=archive",
      done: "Engineering, half of the people, is gone from what dirmfa reads; the next run will be held.",
      failed: "Engineering is gone already.",
    }),
    "return.sh": moveScript(slapd, {
      from: "ou=archive",
      to: "ou=people",
      done: "Engineering is back.",
      failed: "Engineering is there already.",
    }),
    "sign-in.sh": signInScript(place),
  };
  for (const [name, lines] of Object.entries(scripts)) {
    await writeFile(join(place.folder, name), `${["#!/bin/sh", "set -eu", ...lines].join("\n")}\n`, {
      mode: 0o755,
    });
  }
}

function dirmfaScript(place: DemoPlace): string[] {
  return [
    `exec ${quoted(process.execPath)} ${quoted(place.mainFile)} --config ${quoted(configPath(place))} "$@"`,
  ];
}

function ldapmodify(slapd: Slapd): string {
  return `ldapmodify -x -H ${slapd.url} -D '${slapd.adminDn}' -y ${quoted(slapd.adminPasswordFile)}`;
}

// Names go in base64, since they come in all scripts; the username goes into a DN and is kept plain.
function hireScript(slapd: Slapd): string[] {
  return [
    `if [ $# -ne 2 ]; then echo 'usage: hire.sh "Ada Lovelace" ada' >&2; exit 2; fi`,
    `case $2 in '' | *[!a-z0-9.-]*) echo 'a username here is made of a-z, 0-9, dot and dash' >&2; exit 2 ;; esac`,
    "base64_of() { printf %s \"$1\" | base64 | tr -d '\\n'; }",
    `${ldapmodify(slapd)} > /dev/null <<LDIF`,
    `dn: uid=$2,ou=Sales,ou=people,${slapd.suffix}`,
    "changetype: add",
    "objectClass: inetOrgPerson",
    "uid: $2",
    'cn:: $(base64_of "$1")',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own expansion
    'sn:: $(base64_of "${1##* }")',
    "mail: $2@example.org",
    `userPassword: ${demoPassword}`,
    "LDIF",
    'echo "$1 is in the directory; the next run adds $2, within 20 seconds."',
  ];
}

// A whole department moves, as happens in reorganizations; its entries keep their ids.
function moveScript(
  slapd: Slapd,
  move: { from: string; to: string; done: string; failed: string },
): string[] {
  return [
    `if ${ldapmodify(slapd)} > /dev/null 2>&1 <<LDIF`,
    `dn: ou=Engineering,${move.from},${slapd.suffix}`,
    "changetype: modrdn",
    "newrdn: ou=Engineering",
    "deleteoldrdn: 1",
    `newsuperior: ${move.to},${slapd.suffix}`,
    "LDIF",
    `then echo '${move.done}'`,
    `else echo '${move.failed}' >&2; exit 1; fi`,
  ];
}

function signInScript(place: DemoPlace): string[] {
  const url = `http://127.0.0.1:${place.port}/v1/sign-in`;
  return [
    "if [ $# -ne 1 ]; then echo 'usage: sign-in.sh ada' >&2; exit 2; fi",
    `curl -sS -H "Authorization: Bearer $(cat ${quoted(join(place.folder, "login.token"))})" \\`,
    `  -H 'Content-Type: application/json' -d "{\\"username\\": \\"$1\\"}" ${url}`,
    "echo",
  ];
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`;
}

export function printGuide(place: DemoPlace, slapd: Slapd): void {
  const here = folderAsTyped(place);
  const steps = [
    ["Who is known", "dirmfa user list"],
    ["Hire someone in LDAP", 'hire.sh "Ada Lovelace" ada'],
    ["… 20 s later: MFA is required, as Ada is new", "dirmfa user show ada"],
    ["… what the login service is told; ada may sign in too", "sign-in.sh ada"],
    ["Let half of the people vanish from LDAP", "vanish.sh"],
    ["… the next run is held and removes no one", "dirmfa run list --limit 3"],
    ["… approve it, by the id that the list shows", "dirmfa run approve ID"],
    ["Bring them back, restored with all they had", "return.sh"],
  ] as const;
  const width = Math.max(...steps.map(([what]) => what.length));
  console.log(`
The demo is running. A run every 20 seconds; Ctrl-C stops it all. Try, in a browser:

  http://127.0.0.1:${place.loginPort}/   ${dim(`user jmueller, password ${demoPassword}; turn on MFA in the settings`)}
  http://127.0.0.1:${place.consolePort}/   ${dim("the console; be one of these, and register a device first:")}
${[...demoPeople, { uid: "jmueller", what: "a user" }].map(({ uid, what }) => `    ${uid.padEnd(10)} password ${demoPassword}   ${dim(what)}`).join("\n")}

and in a second terminal:

${steps.map(([what, command]) => `  ${dim(what.padEnd(width))}   ${here}/${command}`).join("\n")}

  ${dim(`API   http://127.0.0.1:${place.port}/openapi.json, tokens in ${here}/*.token`)}
  ${dim(`LDAP  ${slapd.url}, ${slapd.adminDn}, password in ${here}/ldap/admin.password`)}
`);
}

function dim(text: string): string {
  return process.stdout.isTTY ? `\u001b[2m${text}\u001b[22m` : text;
}
