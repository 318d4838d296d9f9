// The first factor: a password, checked by binding to the directory with it. Keeps no connection and no password.

import { randomUUID } from "node:crypto";
import { Client, EqualityFilter, ResultCodeError } from "ldapts";

export interface LdapConfiguration {
  url: string;
  /** May read the DNs and usernames below `base`. */
  bindDn: string;
  bindPassword: string;
  base: string;
  /** Spelled as the directory spells it, and the same attribute that dirmfa takes usernames from. */
  usernameAttribute: string;
}

/** Resolves to the username as the directory has it, or to undefined for a wrong name or password. Throws when no server answers. */
export type CheckPassword = (usernameAsTyped: string, password: string) => Promise<string | undefined>;

export function createPasswordCheck(ldap: LdapConfiguration): CheckPassword {
  return async (usernameAsTyped, password) => {
    // RFC 4513, 5.1.2: servers take a bind with a DN and no password as anonymous, and let it succeed.
    if (usernameAsTyped === "" || password === "") return undefined;
    const entry = await findEntry(ldap, usernameAsTyped);
    // An unknown name costs a bind as well: neither the page nor the time it takes tells who exists.
    const dn = entry?.dn ?? `cn=${randomUUID()},${ldap.base}`;
    const isRight = await canBind(ldap, dn, password);
    return isRight ? entry?.username : undefined;
  };
}

// The answer's username is asked about from here on, never the typed one: directory and dirmfa may disagree about which
// spellings are equal, and it must be the user whose password was right.
async function findEntry(ldap: LdapConfiguration, usernameAsTyped: string) {
  return withClient(ldap, async (client) => {
    await client.bind(ldap.bindDn, ldap.bindPassword);
    const { searchEntries } = await client.search(ldap.base, {
      scope: "sub",
      // A filter object goes out as bytes, so that nothing typed can change its meaning.
      filter: new EqualityFilter({ attribute: ldap.usernameAttribute, value: usernameAsTyped }),
      attributes: [ldap.usernameAttribute],
      sizeLimit: 2, // enough to see that there is more than one
    });
    const [entry, second] = searchEntries;
    const username = entry?.[ldap.usernameAttribute];
    if (entry === undefined || second !== undefined || typeof username !== "string") return undefined;
    return { dn: entry.dn, username };
  });
}

async function canBind(ldap: LdapConfiguration, dn: string, password: string): Promise<boolean> {
  return withClient(ldap, async (client) => {
    try {
      await client.bind(dn, password);
      return true;
    } catch (error) {
      // All that a server says about these credentials (wrong, expired, locked) is one "no".
      if (error instanceof ResultCodeError) return false;
      throw error;
    }
  });
}

async function withClient<T>(ldap: LdapConfiguration, use: (client: Client) => Promise<T>): Promise<T> {
  // A new connection each time: a client that reconnects by itself would go on without being bound.
  const client = new Client({ url: ldap.url, connectTimeout: 3_000, timeout: 5_000 }); // somebody waits at the page
  try {
    return await use(client);
  } finally {
    await client.unbind().catch(() => {});
  }
}
