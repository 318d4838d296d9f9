// How each kind of server says the same things: a person, a group, a new name, a lock. What the conformance suite needs to
// know of a server, and nothing that the code under test knows.

import type { DirectoryConfig } from "../../src/config/config.ts";
import type { DataCopy } from "./data-copy.ts";
import { type Ds389, directoryConfigForDs389, startDs389 } from "./ds389.ts";
import type { LdapTools } from "./ldap-tools.ts";
import { ldifEntry, rdn } from "./ldif.ts";
import { directoryConfigForSamba, type Samba, startSamba } from "./samba.ts";
import { directoryConfigFor, type Slapd, type SlapdOptions, startSlapd } from "./slapd.ts";

export interface PersonFacts {
  /** Default: the username. Part of the DN in Active Directory. */
  cn?: string;
  /** Null for none. Default: the username at example.org. */
  mail?: string | null;
}

export interface DirectoryUnderTest extends LdapTools, DataCopy {
  /** Of a server that takes thousands of entries slowly over LDAP: another way in. */
  addMany?(ldif: string): Promise<void>;
  url: string;
  /** Where its certificate is not signed by a CA of the system. */
  caFile?: string;
  suffix: string;
  syncDn: string;
  syncPassword: string;
  syncPasswordFile: string;
  /** Configured as an admin would for the two bases. */
  directoryFor(bases: { users: string; groups: string }): DirectoryConfig;
  /** The attribute that dirmfa takes the username from unless it is configured. */
  usernameAttribute: string;
  /** LDIF of a person that is listed as `username`. */
  person(username: string, unit: string, facts?: PersonFacts): string;
  personDn(username: string, unit: string): string;
  /** LDIF of a group, which may be empty where the server allows it. */
  group(cn: string, unit: string, members: string[]): string;
  /** LDIF change records that give a person another name. */
  rename(from: string, to: string, unit: string): string;
  /** LDIF change records by which an admin locks a person out, and in again. */
  lock(dn: string): string;
  unlock(dn: string): string;
  /** The DN by which the server finds the entry with a directory id, or a filter for it. */
  findById(id: string): Promise<string | undefined>;
  kill(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export const change = (dn: string, ...lines: string[]) =>
  `dn: ${dn}\nchangetype: modify\n${lines.join("\n")}\n\n`;

export const moveTo = (dn: string, unit: string) => {
  const [first = ""] = dn.split(/(?<!\\),/, 1);
  return `dn: ${dn}\nchangetype: modrdn\nnewrdn: ${first}\ndeleteoldrdn: 1\nnewsuperior: ${unit}\n\n`;
};

const withBases = (
  directory: DirectoryConfig,
  bases: { users: string; groups: string },
): DirectoryConfig => ({
  ...directory,
  users: { ...directory.users, bases: [bases.users] },
  groups: directory.groups && { ...directory.groups, bases: [bases.groups] },
});

const inetOrgPersons = {
  usernameAttribute: "uid",
  person(
    username: string,
    unit: string,
    { cn = username, mail = `${username}@example.org` }: PersonFacts = {},
  ) {
    return ldifEntry(`${rdn("uid", username)},${unit}`, [
      ["objectClass", "inetOrgPerson"],
      ["uid", username],
      ["cn", cn],
      ["sn", cn],
      ...(mail === null ? [] : [["mail", mail] as const]),
    ]);
  },
  personDn: (username: string, unit: string) => `${rdn("uid", username)},${unit}`,
  group(cn: string, unit: string, members: string[]) {
    return ldifEntry(`${rdn("cn", cn)},${unit}`, [
      ["objectClass", "groupOfNames"],
      ["cn", cn],
      ...members.map((member) => ["member", member] as const),
    ]);
  },
  rename: (from: string, to: string, unit: string) =>
    `dn: uid=${from},${unit}\nchangetype: modrdn\nnewrdn: uid=${to}\ndeleteoldrdn: 1\n\n`,
};

export async function startOpenLdap(options: SlapdOptions = {}): Promise<DirectoryUnderTest & Slapd> {
  const slapd = await startSlapd({ overlays: ["ppolicy"], ...options });
  return {
    ...slapd,
    ...inetOrgPersons,
    directoryFor: (bases) => withBases(directoryConfigFor(slapd), bases),
    lock: (dn) => change(dn, "add: pwdAccountLockedTime", "pwdAccountLockedTime: 000001010000Z"),
    unlock: (dn) => change(dn, "delete: pwdAccountLockedTime"),
    findById: async (id) => (await slapd.search(`(entryUUID=${id})`, ["entryUUID"]))[0]?.dn,
  };
}

export async function startThreeEightNine(): Promise<DirectoryUnderTest & Ds389> {
  const server = await startDs389();
  return {
    ...server,
    ...inetOrgPersons,
    directoryFor: (bases) => withBases(directoryConfigForDs389(server), bases),
    lock: (dn) => change(dn, "add: nsAccountLock", "nsAccountLock: TRUE"),
    unlock: (dn) => change(dn, "delete: nsAccountLock"),
    findById: async (id) => (await server.search(`(nsUniqueId=${id})`, ["nsUniqueId"]))[0]?.dn,
  };
}

export async function startActiveDirectory(): Promise<DirectoryUnderTest & Samba> {
  const samba = await startSamba();
  return {
    ...samba,
    directoryFor: (bases) => withBases(directoryConfigForSamba(samba), bases),
    usernameAttribute: "sAMAccountName",
    person: adPerson,
    personDn: (username, unit) => `${rdn("cn", username)},${unit}`,
    group: (cn, unit, members) =>
      ldifEntry(`${rdn("cn", cn)},${unit}`, [
        ["objectClass", "group"],
        ["sAMAccountName", cn],
        ...members.map((member) => ["member", member] as const),
      ]),
    rename: (from, to, unit) =>
      `dn: cn=${from},${unit}\nchangetype: modrdn\nnewrdn: cn=${to}\ndeleteoldrdn: 1\n\n` +
      change(`cn=${to},${unit}`, "replace: sAMAccountName", `sAMAccountName: ${to}`),
    lock: (dn) => change(dn, "replace: userAccountControl", "userAccountControl: 546"),
    unlock: (dn) => change(dn, "replace: userAccountControl", "userAccountControl: 544"),
    // The server itself reads the text form of a GUID here.
    findById: async (id) => (await samba.search("(objectClass=*)", ["cn"], `<GUID=${id}>`))[0]?.dn,
  };
}

/** LDIF of an enabled user without a password, which 0x20 (PASSWD_NOTREQD) allows beside 0x200 (NORMAL_ACCOUNT). */
export function adPerson(
  username: string,
  unit: string,
  facts: PersonFacts & { more?: readonly (readonly [string, string])[] } = {},
): string {
  const { cn = username, mail = `${username}@example.org`, more = [] } = facts;
  return ldifEntry(`${rdn("cn", cn)},${unit}`, [
    ["objectClass", "user"],
    ["sAMAccountName", username],
    ["displayName", cn],
    ["userAccountControl", "544"],
    ...(mail === null ? [] : [["mail", mail] as const]),
    ...more,
  ]);
}
