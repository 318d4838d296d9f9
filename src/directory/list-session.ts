// One complete listing over one session: server and bases before, users, groups, server and bases after (rule 4).
// Returns only when all of it has been handed over, and server and bases are still what they were; runs in the listing's thread.

import type { DirectoryConfig, DirectoryKind } from "../config/config.ts";
import { AppError } from "../errors.ts";
import { dnKeyOf } from "../ldap-text/dn.ts";
import { changeMarkOf } from "./change-mark.ts";
import { groupMappingOf, kindOf, partOfId, userMappingOf } from "./kinds.ts";
import { withSession } from "./ldap/connect-session.ts";
import { narrowFilter, type ParsedFilter, parseFilter } from "./ldap/filter.ts";
import type { LdapSession } from "./ldap/ldap-session.ts";
import { searchPaged } from "./ldap/paged-search.ts";
import { listGroups, type ReferenceSink } from "./list-groups.ts";
import type { ListingNote, ListingOrder, ListingSink } from "./listing-messages.ts";
import type {
  EntryColumns,
  ListingPage,
  ListingReport,
  ServerIdentity,
  SkippedEntry,
} from "./listing-page.ts";
import { createEntryMapper, type EntryMapper, emptyEntryColumns } from "./map-entry.ts";
import { packColumns } from "./packed-columns.ts";
import { readBaseId, readRootDse, readServerIdentity } from "./server-identity.ts";

/**
 * Connects to the directory's first server, lists and closes. Where bases overlap, an entry that lies in both is handed over
 * twice: only the reader of all pages can tell, by directory id, without holding every id here.
 */
export async function listOnce(
  order: ListingOrder,
  sink: ListingSink,
  signal: AbortSignal,
): Promise<ListingReport> {
  const [url] = order.directory.urls;
  if (url === undefined) throw new AppError("invalid-config", "the directory has no urls");
  return await withSession(url, order.directory, signal, (session) => listSession(session, order, sink));
}

async function listSession(
  session: LdapSession,
  order: ListingOrder,
  sink: ListingSink,
): Promise<ListingReport> {
  const { directory, onlyIds } = order;
  const bindDn = directory.bind?.dn;
  const rootDse = await readRootDse(session, bindDn);
  const kind = kindOf(order, rootDse, session.url);
  // Times in a directory follow the directory's clock. Only Active Directory has times that matter here (accountExpires), and it
  // says what its clock shows.
  const directoryTime = rootDse.currentTime ?? new Date();
  const userBases = distinctBases(directory.users.bases);
  const groupBases = distinctBases(directory.groups?.bases ?? []);
  const bases = distinctBases([...userBases, ...groupBases]);
  const server = await readServerIdentity(session, kind, firstOf(bases), bindDn);
  const baseIds = await readBaseIds(session, bases, bindDn);

  const report = emptyReport(server, kind, changeMarkOf(kind, rootDse, server));
  const counting = countingSink(sink, report);
  const userMapping = userMappingOf(directory, kind);
  const mapper = createEntryMapper(userMapping, directoryTime);
  const filter =
    onlyIds === undefined
      ? parseFilter(userMapping.filter)
      : narrowFilter(
          userMapping.filter,
          onlyIds.map((id) => partOfId(userMapping, id)),
        );
  for (const base of userBases) await listUsers({ session, directory, base, mapper, filter, sink: counting });
  const mapping = groupMappingOf(directory, kind);
  if (mapping !== undefined) {
    for (const base of groupBases) {
      const { pageSize } = directory.limits;
      await listGroups({ session, base, mapping, pageSize, bindDn, sink: counting });
    }
  }

  requireSame("base entries", baseIds, await readBaseIds(session, bases, bindDn), session.url);
  const after = await readServerIdentity(session, kind, firstOf(bases), bindDn);
  requireSame("server", [server.identity], [after.identity], session.url);
  return report;
}

export function emptyReport(server: ServerIdentity, kind: DirectoryKind, mark: string | null): ListingReport {
  return {
    server,
    kind,
    mark,
    entries: 0,
    skipped: 0,
    statesUnknown: 0,
    leftOut: 0,
    groups: 0,
    members: 0,
    references: [],
  };
}

export interface UserListing {
  session: LdapSession;
  directory: DirectoryConfig;
  base: string;
  mapper: EntryMapper;
  filter: ParsedFilter;
  sink: CountingSink;
}

/** Lists the users below one base, in pages of up to `limits.pageSize` rows. */
export async function listUsers({
  session,
  directory,
  base,
  mapper,
  filter,
  sink,
}: UserListing): Promise<void> {
  const { pageSize } = directory.limits;
  let entries: EntryColumns = emptyEntryColumns();
  let skipped: SkippedEntry[] = [];
  let leftOut: SkippedEntry[] = [];
  const flush = async (): Promise<void> => {
    if (entries.dns.length + skipped.length === 0) return;
    const page: ListingPage = { kind: "entries", entries: packColumns(entries), skipped, leftOut };
    sink.countStates(entries.disabled);
    entries = emptyEntryColumns();
    skipped = [];
    leftOut = [];
    await sink.onPage(page);
  };
  await searchPaged(
    session,
    { base, scope: "sub", filter, attributes: mapper.attributes, pageSize },
    {
      // Counted by rows and not by the server's pages, which a server may make as long as it likes. A full page is handed
      // over when the next entry arrives: by then the server's next page is asked for, and both work at once.
      onEntry: (entry) => {
        const handedOver = entries.dns.length + skipped.length >= pageSize ? flush() : undefined;
        const problem = mapper.map(entry, entries, leftOut);
        if (problem !== undefined) skipped.push(problem);
        return handedOver;
      },
      onReference: (uris) => sink.onReference(base, uris),
    },
    { what: `listing the users below "${base}"`, url: session.url, bindDn: directory.bind?.dn },
  );
  await flush();
}

export function distinctBases(bases: readonly string[]): string[] {
  return [...new Map(bases.map((base) => [dnKeyOf(base) ?? base, base])).values()];
}

export function firstOf(bases: readonly string[]): string {
  const [first] = bases;
  if (first === undefined) throw new AppError("invalid-config", "the directory has no bases to list");
  return first;
}

export async function readBaseIds(
  session: LdapSession,
  bases: string[],
  bindDn: string | undefined,
): Promise<string[]> {
  const ids: string[] = [];
  for (const base of bases) ids.push(await readBaseId(session, base, bindDn));
  return ids;
}

export function requireSame(what: string, before: string[], after: string[], url: string): void {
  if (before.length === after.length && before.every((id, index) => id === after[index])) return;
  throw new AppError(
    "directory-changed-during-listing",
    `the ${what} changed while the directory was listed`,
    {
      remedy:
        "Nothing needs to be done if the next run succeeds; otherwise look for a restore, or servers behind one address.",
      fields: { url, before: before.join(" "), after: after.join(" ") },
    },
  );
}

export interface CountingSink extends ReferenceSink {
  /** What the rows of a page say of their states. */
  countStates(disabled: (boolean | null)[]): void;
}

// A directory names a few other servers; one that names thousands must not fill the log.
const mostReferences = 20;

export function countingSink(sink: ListingSink, report: ListingReport): CountingSink {
  const onReference = (base: string, uris: string[]): void => {
    if (report.references.length >= mostReferences) return;
    report.references.push(uris.join(" "));
    sink.onNote(referenceNote(base, uris));
  };
  const countStates = (disabled: (boolean | null)[]): void => {
    for (const state of disabled) if (state === null) report.statesUnknown += 1;
  };
  const onPage = (page: ListingPage): Promise<void> => {
    if (page.kind === "entries") {
      report.entries += page.entries.rows;
      report.skipped += page.skipped.length;
      report.leftOut += page.leftOut.length;
    } else {
      report.groups += page.groups.rows;
      report.members += page.members.rows;
    }
    return sink.onPage(page);
  };
  return { onPage, onNote: sink.onNote, countStates, onReference };
}

// Not followed: the entries of another server are listed from that server, once it is configured.
function referenceNote(base: string, uris: string[]): ListingNote {
  return {
    message: "directory has a part on another server, which is not listed",
    fields: { base, uris: uris.join(" ") },
  };
}
