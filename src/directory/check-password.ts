// Checks the password of one stored user, by a bind as the entry that has the user's directory id now. The session is the same kind
// as that of a run, with the certificate checked. Keeps no connection and no password, and shows neither.

import { randomUUID } from "node:crypto";
import type { DirectoryConfig, DirectoryKind } from "../config/config.ts";
import { AppError, type ErrorCode } from "../errors.ts";
import { fromFirstServer } from "./failover.ts";
import { kindOf, partOfId, userMappingOf } from "./kinds.ts";
import { connectSession, withSession } from "./ldap/connect-session.ts";
import { narrowFilter } from "./ldap/filter.ts";
import type { LdapSession } from "./ldap/ldap-session.ts";
import { searchPaged } from "./ldap/paged-search.ts";
import { createEntryMapper, emptyEntryColumns } from "./map-entry.ts";
import { readRootDse } from "./server-identity.ts";

export interface PasswordQuestion {
  /** Undefined when there is no such user: the same work is done, so that the time does not tell. */
  directoryId: string | undefined;
  /** How the last complete listing was read, where the configuration does not say. */
  rememberedKind: DirectoryKind | undefined;
  passwordSecret: string;
  signal: AbortSignal;
}

// All that a server says about these credentials (wrong, expired, must be changed, locked) is one "no".
const refusals: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "directory-bind-refused",
  "directory-password-expired",
  "directory-access-denied",
]);

/**
 * True when the directory takes the password for that very user: found by directory id, wherever the entry is now, not disabled,
 * and still a user by the configured filter. A DN that somebody else has got meanwhile is nobody's. Throws where no server answers.
 */
export async function checkPassword(
  directory: DirectoryConfig,
  question: PasswordQuestion,
): Promise<boolean> {
  const { passwordSecret, signal } = question;
  // RFC 4513, 5.1.2: servers take a bind with a DN and no password as anonymous, and let it succeed.
  if (passwordSecret === "") return false;
  const { url, dn } = await fromFirstServer(directory, ({ urls: [url] }) =>
    withSession(url, directory, signal, async (session) => ({
      url,
      dn: await findDn(session, directory, question),
    })),
  );
  const madeUp = `cn=${randomUUID()},${directory.users.bases[0] ?? "dc=invalid"}`;
  const isRight = await canBind(url, directory, { dn: dn ?? madeUp, passwordSecret }, signal);
  return isRight && dn !== undefined;
}

/** Of the one entry with that id that is a user and may sign in. */
async function findDn(
  session: LdapSession,
  directory: DirectoryConfig,
  question: PasswordQuestion,
): Promise<string | undefined> {
  const bindDn = directory.bind?.dn;
  const rootDse = await readRootDse(session, bindDn);
  const kind = kindOf({ directory, rememberedKind: question.rememberedKind }, rootDse, session.url);
  const mapping = userMappingOf(directory, kind);
  const mapper = createEntryMapper(mapping, rootDse.currentTime ?? new Date());
  const filter = narrowFilter(mapping.filter, [partOfId(mapping, question.directoryId ?? randomUUID())]);
  const found = emptyEntryColumns();
  for (const base of directory.users.bases) {
    await searchPaged(
      session,
      { base, scope: "sub", filter, attributes: mapper.attributes, pageSize: 10 },
      { onEntry: (entry) => void mapper.map(entry, found, []) },
      { what: `looking for one user below "${base}"`, url: session.url, bindDn },
    );
  }
  const dns = new Map(found.dnKeys.map((key, row) => [key, row])); // an entry once, where bases overlap
  const [row, second] = dns.values();
  if (row === undefined || second !== undefined) return undefined;
  const isUser = found.directoryIds[row] === question.directoryId && found.disabled[row] === false;
  return isUser ? found.dns[row] : undefined;
}

async function canBind(
  url: string,
  directory: DirectoryConfig,
  bind: { dn: string; passwordSecret: string },
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const session = await connectSession(url, { ...directory, bind }, signal);
    session.close();
    return true;
  } catch (error) {
    if (error instanceof AppError && refusals.has(error.code)) return false;
    throw error;
  }
}
