// What tests do to a directory server as its admin, with OpenLDAP's command-line tools: they know nothing of the code
// under test. Starts no server.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { type LdifEntry, parseLdif } from "./ldif.ts";

export interface LdapTools {
  add(ldif: string): Promise<void>;
  /** LDIF change records: modify, delete, modrdn, add. */
  modify(ldif: string): Promise<void>;
  /** Entries below `base`, by default the suffix, as the admin sees them; by default all attributes, operational ones too. */
  search(filter: string, attributes?: string[], base?: string): Promise<LdifEntry[]>;
}

/** `asAdmin`: URL and bind as the tools' options. `env`: of the tools, for a CA of the server's own. */
export function ldapTools(server: {
  asAdmin: string[];
  suffix: string;
  env?: Record<string, string>;
}): LdapTools {
  const { asAdmin, suffix, env } = server;
  return {
    add: async (ldif) => void (await run("ldapadd", asAdmin, ldif, env)),
    modify: async (ldif) => void (await run("ldapmodify", asAdmin, ldif, env)),
    search: async (filter, attributes = ["*", "+"], base = suffix) => {
      const scope = ["-LLL", "-o", "ldif-wrap=no", "-b", base];
      return parseLdif(await run("ldapsearch", [...asAdmin, ...scope, filter, ...attributes], "", env));
    },
  };
}

/** Runs a program to its end and returns what it printed; throws with its error output. */
export async function run(
  command: string,
  args: string[],
  input = "",
  env: Record<string, string> = {},
): Promise<string> {
  const child = spawn(command, args, { env: { ...process.env, LDAPNOINIT: "1", ...env } }); // no ldaprc of the user
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
