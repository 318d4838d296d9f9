// Short ways for the tests of src/config to write a file and to see what is told about it.

import { type ParsedConfig, parseConfig } from "../../src/config/parse-config.ts";

export const path = "/etc/dirmfa/dirmfa.yaml";

export function parse(text: string, env: Record<string, string> = {}): ParsedConfig {
  return parseConfig({ text, path, env });
}

/** The problems as `line:column: what`. */
export function problemsOf(text: string, env: Record<string, string> = {}): string[] {
  return parse(text, env).problems.map(({ line, column, what }) => `${line}:${column}: ${what}`);
}

export function warningsOf(text: string, env: Record<string, string> = {}): string[] {
  return parse(text, env).warnings.map(({ line, column, what }) => `${line}:${column}: ${what}`);
}

/** A file with one sound directory, and `lines` in it instead of its own line with the same key. */
export function directoryWith(...lines: string[]): string {
  const own = new Map([
    ["name", "name: example"],
    ["urls", "urls: [ldaps://ldap.example.org]"],
    ["bind", "bind: anonymous"],
    ["users", "users: { bases: ['ou=people,dc=example,dc=org'] }"],
  ]);
  for (const line of lines) own.set(line.replace(/:.*/s, ""), line);
  return `directories:\n  - ${[...own.values()].join("\n    ")}\n`;
}
