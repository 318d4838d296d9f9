// The groups of one user, asked the other way round than in a listing: which groups list this DN or this username, and which
// list those groups. Asks for no members, however many a group has.

import type { DirectoryConfig } from "../config/config.ts";
import { AppError } from "../errors.ts";
import type { FilterPart } from "../ldap-text/filter-text.ts";
import { usernameKeyOf } from "../username.ts";
import type { GroupMapping } from "./kinds.ts";
import { narrowFilter } from "./ldap/filter.ts";
import type { LdapSession } from "./ldap/ldap-session.ts";
import { searchPaged } from "./ldap/paged-search.ts";
import { createGroupMapper } from "./map-group.ts";
import type { FoundGroup } from "./user-question.ts";

// A user in more groups than this is not read on demand, only by a run.
const mostGroups = 1000;
// Groups that one filter names: well below what servers take.
const groupsAFilter = 50;
const pageSize = 200;

interface GroupEntry extends FoundGroup {
  dn: string;
}

/** All of them, or none: throws when any answer is missing, since a group that was overlooked could be a required one. */
export async function findGroupsOf(
  session: LdapSession,
  directory: DirectoryConfig,
  mapping: GroupMapping,
  user: { dn: string; username: string },
): Promise<FoundGroup[]> {
  const found = new Map<string, GroupEntry>();
  let next = await search(session, directory, mapping, partsOfUser(mapping, user), found);
  while (directory.groups?.nested === true && next.length > 0) {
    const parents: GroupEntry[] = [];
    for (let from = 0; from < next.length; from += groupsAFilter) {
      const parts = next.slice(from, from + groupsAFilter).flatMap(({ dn }) => partsOfDn(mapping, dn));
      parents.push(...(await search(session, directory, mapping, parts, found)));
    }
    // Each group is asked about once, so a cycle of groups ends.
    next = parents;
  }
  return [...found.values()].map(({ directoryId, name, nameKey, dnKey }) => ({
    directoryId,
    name,
    nameKey,
    dnKey,
  }));
}

/** Adds the groups that were not found before to `found`, and returns them. */
async function search(
  session: LdapSession,
  { groups, bind }: DirectoryConfig,
  mapping: GroupMapping,
  parts: FilterPart[],
  found: Map<string, GroupEntry>,
): Promise<GroupEntry[]> {
  const added: GroupEntry[] = [];
  if (parts.length === 0) return added;
  const mapper = createGroupMapper({ ...mapping, memberAttributes: [] });
  for (const base of groups?.bases ?? []) {
    await searchPaged(
      session,
      {
        base,
        scope: "sub",
        filter: narrowFilter(mapping.filter, parts),
        attributes: mapper.attributes,
        pageSize,
      },
      {
        onEntry: (entry) => {
          const group = mapper.map(entry);
          // As in a run, a group that cannot be used is skipped.
          if ("reason" in group || found.has(group.directoryId)) return undefined;
          if (found.size === mostGroups) throw tooMany(session.url);
          const { directoryId, name, dn, dnKey } = group;
          const known = { directoryId, name, nameKey: usernameKeyOf(name), dn, dnKey };
          found.set(directoryId, known);
          added.push(known);
          return undefined;
        },
        onReference: () => {},
      },
      { what: `reading the groups of a user below "${base}"`, url: session.url, bindDn: bind?.dn },
    );
  }
  return added;
}

function partsOfUser(
  mapping: GroupMapping,
  { dn, username }: { dn: string; username: string },
): FilterPart[] {
  const parts = partsOfDn(mapping, dn);
  for (const attribute of mapping.memberAttributes) {
    // A configured attribute may list DNs or usernames.
    if (listsDns.has(attribute.toLowerCase())) continue;
    for (const value of spellingsOf(username)) parts.push({ kind: "equal", attribute, value });
  }
  return parts;
}

const listsDns: ReadonlySet<string> = new Set(["member", "uniquemember"]);

function partsOfDn(mapping: GroupMapping, dn: string): FilterPart[] {
  return mapping.memberAttributes
    .filter((attribute) => attribute.toLowerCase() !== "memberuid")
    .map((attribute) => ({ kind: "equal", attribute, value: Buffer.from(dn) }));
}

function tooMany(url: string): AppError {
  return new AppError("directory-failed", `a user is in more than ${mostGroups} groups`, {
    remedy: "The next run reads them; groups.filter leaves out those that are of no use here.",
    fields: { url },
  });
}

/** As typed, and in matching form: a server may distinguish case, and may not know all Unicode forms of a letter. */
export function spellingsOf(name: string): Buffer[] {
  return [...new Set([name.trim(), usernameKeyOf(name)])].map((text) => Buffer.from(text));
}
