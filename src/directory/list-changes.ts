// Reads the entries of one server that have changed since a mark, over one session. What the server names is only a hint: each
// entry is read again by its directory id, so that another entry with that id is seen too. Never says that somebody is gone.

import { AppError } from "../errors.ts";
import type { FilterPart } from "../ldap-text/filter-text.ts";
import { changeMarkOf, deltaSince } from "./change-mark.ts";
import { groupMappingOf, kindOf, partOfId, type UserMapping, userMappingOf } from "./kinds.ts";
import { withSession } from "./ldap/connect-session.ts";
import { narrowFilter } from "./ldap/filter.ts";
import type { LdapSession } from "./ldap/ldap-session.ts";
import { searchPaged } from "./ldap/paged-search.ts";
import {
  countingSink,
  distinctBases,
  emptyReport,
  firstOf,
  listUsers,
  readBaseIds,
  requireSame,
} from "./list-session.ts";
import type { ListingOrder, ListingSink, Since } from "./listing-messages.ts";
import type { DeltaDoubt, ListingReport } from "./listing-page.ts";
import { createEntryMapper, emptyEntryColumns } from "./map-entry.ts";
import { readRootDse, readServerIdentity } from "./server-identity.ts";

// More changed entries than this are read faster by a listing, page after page.
const mostChanged = 2000;
// Ids that one filter names; each is a look into an index.
const idsAFilter = 500;

/** Connects to the directory's first server, hands over what has changed since `order.since`, and closes. */
export async function listChangesOnce(
  order: ListingOrder,
  sink: ListingSink,
  signal: AbortSignal,
): Promise<ListingReport> {
  const { directory, since } = order;
  const [url] = directory.urls;
  if (url === undefined || since === undefined)
    throw new AppError("invalid-config", "the directory has no urls");
  return await withSession(url, directory, signal, (session) => listChanges(session, order, since, sink));
}

async function listChanges(
  session: LdapSession,
  order: ListingOrder,
  since: Since,
  sink: ListingSink,
): Promise<ListingReport> {
  const { directory } = order;
  const bindDn = directory.bind?.dn;
  const rootDse = await readRootDse(session, bindDn);
  const kind = kindOf(order, rootDse, session.url);
  const userBases = distinctBases(directory.users.bases);
  const bases = distinctBases([...userBases, ...(directory.groups?.bases ?? [])]);
  // Before anything is asked: what changes from here on is asked for again the next time.
  const server = await readServerIdentity(session, kind, firstOf(bases), bindDn);
  const report = emptyReport(server, kind, changeMarkOf(kind, rootDse, server));
  if (server.identity !== since.identity) return { ...report, doubt: anotherServer };
  const delta = deltaSince(since.mark, report.mark);
  if ("doubt" in delta) return { ...report, doubt: delta.doubt };
  const baseIds = await readBaseIds(session, bases, bindDn);

  if (await findsGroup(session, order, delta.from, kind)) return { ...report, doubt: groupsChanged };
  const mapping = userMappingOf(directory, kind);
  const users: UserSearch = { session, order, mapping, bases: userBases };
  const changed = await findChanged(users, delta.from);
  if (changed === undefined) return { ...report, doubt: tooMany };
  if (changed.size === 0 && delta.hasMoved && !(await tellsOfChanges(users, since.known, delta.attribute))) {
    return { ...report, doubt: changesHidden };
  }
  const counting = countingSink(sink, report);
  const mapper = createEntryMapper(mapping, rootDse.currentTime ?? new Date());
  for (const parts of idParts(mapping, [...new Set([...changed, ...since.waiting])])) {
    const filter = narrowFilter(mapping.filter, parts);
    for (const base of userBases) {
      await listUsers({ session, directory, base, mapper, filter, sink: counting });
    }
  }

  requireSame("base entries", baseIds, await readBaseIds(session, bases, bindDn), session.url);
  const after = await readServerIdentity(session, kind, firstOf(bases), bindDn);
  requireSame("server", [server.identity], [after.identity], session.url);
  return report;
}

const anotherServer: DeltaDoubt = {
  code: "another-server",
  text: "another server answered than the last time",
};
const groupsChanged: DeltaDoubt = { code: "groups-changed", text: "a group has changed" };
const tooMany: DeltaDoubt = { code: "many-changes", text: `more than ${mostChanged} entries have changed` };
const changesHidden: DeltaDoubt = {
  code: "changes-hidden",
  text: "the server has changed, and does not show the bind DN which entries: give it the right to read the attribute that numbers changes",
};

async function findsGroup(
  session: LdapSession,
  { directory }: ListingOrder,
  from: FilterPart,
  kind: ListingReport["kind"],
): Promise<boolean> {
  const mapping = groupMappingOf(directory, kind);
  if (mapping === undefined) return false;
  let isFound = false;
  for (const base of distinctBases(directory.groups?.bases ?? [])) {
    await searchPaged(
      session,
      {
        base,
        scope: "sub",
        filter: narrowFilter(mapping.filter, [from]),
        attributes: ["1.1"], // no attribute (RFC 4511, 4.5.1.8)
        pageSize: directory.limits.pageSize,
      },
      {
        onEntry: () => {
          isFound = true;
          return undefined;
        },
        onReference: () => {},
      },
      { what: `asking for changed groups below "${base}"`, url: session.url, bindDn: directory.bind?.dn },
    );
  }
  return isFound;
}

interface UserSearch {
  session: LdapSession;
  order: ListingOrder;
  mapping: UserMapping;
  bases: string[];
}

/**
 * The directory ids of changed users; undefined when they are too many. An entry without a usable id belongs to no stored
 * user, and the next full run reports it.
 */
async function findChanged(
  { session, order, mapping, bases }: UserSearch,
  from: FilterPart,
): Promise<Set<string> | undefined> {
  const { directory } = order;
  const ids = new Set<string>();
  const mapper = createEntryMapper(mapping, new Date());
  const filter = narrowFilter(mapping.filter, [from]);
  for (const base of bases) {
    await searchPaged(
      session,
      { base, scope: "sub", filter, attributes: mapper.attributes, pageSize: directory.limits.pageSize },
      {
        onEntry: (entry) => {
          if (ids.size > mostChanged) return undefined;
          const found = emptyEntryColumns();
          const id = mapper.map(entry, found, [])?.directoryId ?? found.directoryIds[0];
          if (id !== undefined) ids.add(id);
          return undefined;
        },
        onReference: () => {},
      },
      { what: `asking for changed users below "${base}"`, url: session.url, bindDn: directory.bind?.dn },
    );
    if (ids.size > mostChanged) return undefined;
  }
  return ids;
}

/**
 * Whether the bind DN may read the attribute of any of the entries: a filter on a hidden attribute finds nothing, without an
 * error. False when none of them is there.
 */
async function tellsOfChanges(
  { session, order, mapping, bases }: UserSearch,
  ids: string[],
  attribute: string,
): Promise<boolean> {
  const { directory } = order;
  let isShown = false;
  for (const parts of idParts(mapping, ids)) {
    const shown: FilterPart = {
      kind: "and",
      parts: [
        { kind: "or", parts },
        { kind: "present", attribute },
      ],
    };
    for (const base of bases) {
      await searchPaged(
        session,
        {
          base,
          scope: "sub",
          filter: narrowFilter(mapping.filter, [shown]),
          attributes: ["1.1"],
          pageSize: directory.limits.pageSize,
        },
        {
          onEntry: () => {
            isShown = true;
            return undefined;
          },
          onReference: () => {},
        },
        { what: `asking for ${attribute} below "${base}"`, url: session.url, bindDn: directory.bind?.dn },
      );
    }
  }
  return isShown;
}

/** What finds these entries, a bounded number in one filter. */
function idParts(mapping: UserMapping, ids: string[]): FilterPart[][] {
  const parts: FilterPart[][] = [];
  for (let at = 0; at < ids.length; at += idsAFilter) {
    parts.push(ids.slice(at, at + idsAFilter).map((id) => partOfId(mapping, id)));
  }
  return parts;
}
