// Reads one user over a session: the entries that a name or an id means, mapped as in a listing, and the groups they are in.
// Runs in the reader's thread. An entry that is not found is never taken for one that is gone.

import type { DirectoryConfig } from "../config/config.ts";
import { AppError } from "../errors.ts";
import type { FilterPart } from "../ldap-text/filter-text.ts";
import { usernameKeyOf } from "../username.ts";
import { findGroupsOf, spellingsOf } from "./find-groups-of.ts";
import { groupMappingOf, kindOf, partOfId, type UserMapping, userMappingOf } from "./kinds.ts";
import { narrowFilter } from "./ldap/filter.ts";
import type { LdapSession } from "./ldap/ldap-session.ts";
import { searchPaged } from "./ldap/paged-search.ts";
import type { EntryColumns, SkippedEntry } from "./listing-page.ts";
import { createEntryMapper, emptyEntryColumns } from "./map-entry.ts";
import { type Packed, packColumns, pickRows, unpackColumns, valuesOf } from "./packed-columns.ts";
import { readRootDse, readServerIdentity } from "./server-identity.ts";
import type { UserQuestion, UserReading } from "./user-question.ts";

// A name is of one user, or of a few that clash. More is a filter that means something else.
const mostEntries = 20;

/** Throws AppError as a listing does. */
export async function readUser(
  session: LdapSession,
  directory: DirectoryConfig,
  question: UserQuestion,
): Promise<UserReading> {
  const bindDn = directory.bind?.dn;
  const rootDse = await readRootDse(session, bindDn);
  const kind = kindOf({ directory, rememberedKind: question.rememberedKind }, rootDse, session.url);
  const [firstBase] = directory.users.bases;
  if (firstBase === undefined) throw new AppError("invalid-config", "the directory has no bases to read");
  // Read before the user, so that the copy is not older than this says.
  const server = await readServerIdentity(session, kind, firstBase, bindDn);
  const mapping = userMappingOf(directory, kind);
  const search = new EntrySearch(session, directory, mapping, rootDse.currentTime ?? new Date());
  const asked = new Set(question.name === undefined ? [] : [usernameKeyOf(question.name)]);
  await search.find([
    ...(question.name === undefined ? [] : partsOfName(mapping, question.name)),
    ...question.ids.map((id) => partOfId(mapping, id)),
  ]);
  const meant = search.entriesThat(
    (entry) => question.ids.includes(entry.directoryId) || meansAny(entry, asked),
  );
  // Who else claims the usernames that were found, as a listing would show: the same clash rules hold then (rule 3).
  const names = valuesOf(meant, "usernames").filter((name) => !asked.has(usernameKeyOf(name)));
  if (names.length > 0) await search.find(names.flatMap((name) => partsOfUsername(mapping, name)));
  const keys = new Set(valuesOf(meant, "usernameKeys"));
  const ids = new Set(question.ids);
  const isConcerned = (entry: FoundEntry) =>
    ids.has(entry.directoryId) || meansAny(entry, asked) || keys.has(entry.usernameKey);
  // And who else has one of the directory ids: of several entries with one id none is taken (rule 8).
  const newIds = valuesOf(search.entriesThat(isConcerned), "directoryIds").filter((id) => !ids.has(id));
  for (const id of newIds) ids.add(id);
  await search.find([...new Set(newIds)].map((id) => partOfId(mapping, id)));
  const entries = search.entriesThat(isConcerned);
  const groupMapping = groupMappingOf(directory, kind);
  const groups: UserReading["groups"] = [];
  if (groupMapping !== undefined) {
    const { directoryIds, dns, usernames, disabled } = unpackColumns(entries);
    for (const [row, directoryId] of directoryIds.entries()) {
      // A disabled user cannot sign in, whatever the groups; these are asked for once the entry is enabled again.
      if (disabled[row] === "true") continue;
      const user = { dn: dns[row] ?? "", username: usernames[row] ?? "" };
      groups.push({ directoryId, groups: await findGroupsOf(session, directory, groupMapping, user) });
    }
  }
  return { server, kind, entries, skipped: search.skipped, leftOut: search.leftOut, groups };
}

interface FoundEntry {
  directoryId: string;
  usernameKey: string;
  aliasKeys: string;
}

/** The server matches by its own rules; ours decide whom a name means. */
function meansAny({ usernameKey, aliasKeys }: FoundEntry, names: ReadonlySet<string>): boolean {
  if (names.has(usernameKey)) return true;
  const aliases: unknown = aliasKeys === "" ? [] : JSON.parse(aliasKeys);
  return Array.isArray(aliases) && aliases.some((alias) => names.has(alias));
}

class EntrySearch {
  readonly #session: LdapSession;
  readonly #directory: DirectoryConfig;
  readonly #mapping: UserMapping;
  readonly #directoryTime: Date;
  readonly #found: EntryColumns = emptyEntryColumns();
  // An entry below two bases, or found by two questions, is one entry.
  readonly #seen = new Set<string>();
  readonly skipped: SkippedEntry[] = [];
  readonly leftOut: SkippedEntry[] = [];

  constructor(session: LdapSession, directory: DirectoryConfig, mapping: UserMapping, directoryTime: Date) {
    this.#session = session;
    this.#directory = directory;
    this.#mapping = mapping;
    this.#directoryTime = directoryTime;
  }

  /** Finds the entries for which any of `parts` is true, below every base. */
  async find(parts: FilterPart[]): Promise<void> {
    if (parts.length === 0) return;
    const mapper = createEntryMapper(this.#mapping, this.#directoryTime);
    const { users, bind } = this.#directory;
    for (const base of users.bases) {
      await searchPaged(
        this.#session,
        {
          base,
          scope: "sub",
          filter: narrowFilter(this.#mapping.filter, parts),
          attributes: mapper.attributes,
          pageSize: mostEntries,
        },
        {
          onEntry: (entry) => {
            const dn = entry.dn.toString("latin1");
            if (this.#seen.has(dn)) return undefined;
            if (this.#seen.size === mostEntries) throw tooMany(base, this.#session.url);
            this.#seen.add(dn);
            const problem = mapper.map(entry, this.#found, this.leftOut);
            if (problem !== undefined) this.skipped.push(problem);
            return undefined;
          },
          onReference: () => {},
        },
        { what: `reading a user below "${base}"`, url: this.#session.url, bindDn: bind?.dn },
      );
    }
  }

  entriesThat(isMeant: (entry: FoundEntry) => boolean): Packed<EntryColumns> {
    const { directoryIds, usernameKeys, aliasKeys } = this.#found;
    return pickRows(packColumns(this.#found), (row) =>
      isMeant({
        directoryId: directoryIds[row] ?? "",
        usernameKey: usernameKeys[row] ?? "",
        aliasKeys: aliasKeys[row] ?? "",
      }),
    );
  }
}

function tooMany(base: string, url: string): AppError {
  return new AppError("directory-failed", `more than ${mostEntries} entries below "${base}" have one name`, {
    remedy: "Check users.attributes and users.aliases: a sign-in name should be of one entry.",
    fields: { url },
  });
}

/** All ways in which an entry may have the name. */
function partsOfName(mapping: UserMapping, name: string): FilterPart[] {
  const key = usernameKeyOf(name);
  const parts = partsOfUsername(mapping, name);
  for (const attribute of mapping.aliasAttributes) {
    for (const value of spellingsOf(name)) parts.push({ kind: "equal", attribute, value });
  }
  if (mapping.aliasDomain !== undefined) {
    const prefix = usernameKeyOf(`${mapping.aliasDomain}\\`);
    if (key.startsWith(prefix) && key.length > prefix.length)
      parts.push(...partsOfUsername(mapping, key.slice(prefix.length)));
  }
  return parts;
}

function partsOfUsername({ usernameAttribute }: UserMapping, name: string): FilterPart[] {
  return spellingsOf(name).map((value) => ({ kind: "equal", attribute: usernameAttribute, value }));
}
