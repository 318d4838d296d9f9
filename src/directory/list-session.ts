// One complete listing over one session: server and bases before, users, groups, server and bases after (rule 4).
// Returns only when all of it has been handed over and nothing has moved underneath; runs in the listing's thread.

import type { DirectoryConfig } from "../config/config.ts";
import { AppError } from "../errors.ts";
import { connectFirst, type UnreachableServer } from "./connect-session.ts";
import { dnKeyOf } from "./dn.ts";
import { narrowFilter, type ParsedFilter, parseFilter } from "./filter.ts";
import { detectKind, encodeId, groupMappingOf, userMappingOf } from "./kinds.ts";
import type { LdapSession } from "./ldap-session.ts";
import { listGroups } from "./list-groups.ts";
import type { EntryColumns, ListingPage, ListingReport, SkippedEntry } from "./listing-page.ts";
import { createEntryMapper, type EntryMapper, emptyEntryColumns } from "./map-entry.ts";
import { packColumns } from "./packed-columns.ts";
import { searchPaged } from "./paged-search.ts";
import { readBaseId, readRootDse, readServerIdentity } from "./server-identity.ts";

/** Worth a line in the log; `message` is constant. */
export interface ListingNote {
  message: string;
  fields: Readonly<Record<string, string | number>>;
}

export interface ListingSink {
  /** Takes a page; the server waits until it resolves. */
  onPage(page: ListingPage): Promise<void>;
  onNote(note: ListingNote): void;
}

/**
 * Connects, lists and closes. Where bases overlap, an entry that lies in both is handed over twice: only the reader of
 * all pages can tell, by directory id, without holding every id here.
 */
export async function listOnce(
  directory: DirectoryConfig,
  sink: ListingSink,
  signal: AbortSignal,
  onlyIds?: string[],
): Promise<ListingReport> {
  const { session, passedOver } = await connectFirst(directory, signal);
  for (const server of passedOver) sink.onNote(passedOverNote(server));
  const onAbort = () => session.close(signal.reason instanceof AppError ? signal.reason : undefined);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await listSession(session, directory, sink, onlyIds);
  } finally {
    signal.removeEventListener("abort", onAbort);
    session.close();
  }
}

async function listSession(
  session: LdapSession,
  directory: DirectoryConfig,
  sink: ListingSink,
  onlyIds: string[] | undefined,
): Promise<ListingReport> {
  const bindDn = directory.bind?.dn;
  const rootDse = await readRootDse(session, bindDn);
  const kind = directory.kind ?? detectKind(rootDse);
  // Times in a directory are by its own clock; only Active Directory has times that matter here, and tells its clock.
  const directoryTime = rootDse.currentTime ?? new Date();
  const userBases = distinctBases(directory.users.bases);
  const groupBases = distinctBases(directory.groups?.bases ?? []);
  const bases = distinctBases([...userBases, ...groupBases]);
  const server = await readServerIdentity(session, kind, firstOf(bases), bindDn);
  const baseIds = await readBaseIds(session, bases, bindDn);

  const report: ListingReport = { server, entries: 0, skipped: 0, groups: 0, members: 0 };
  const counting = countingSink(sink, report);
  const userMapping = userMappingOf(directory, kind);
  const mapper = createEntryMapper(userMapping, directoryTime);
  const filter =
    onlyIds === undefined
      ? parseFilter(userMapping.filter)
      : filterOfIds(userMapping.filter, userMapping.idAttribute, onlyIds);
  for (const base of userBases) await listUsers({ session, directory, base, mapper, filter, sink: counting });
  const mapping = groupMappingOf(directory, kind);
  if (mapping !== undefined) {
    for (const base of groupBases) {
      const onReference = (uris: string[]) => counting.onNote(referenceNote(base, uris));
      const { pageSize } = directory.limits;
      await listGroups({ session, base, mapping, pageSize, bindDn, onPage: counting.onPage, onReference });
    }
  }

  requireSame("base entries", baseIds, await readBaseIds(session, bases, bindDn), session.url);
  const after = await readServerIdentity(session, kind, firstOf(bases), bindDn);
  requireSame("server", [server.identity], [after.identity], session.url);
  return report;
}

interface UserListing {
  session: LdapSession;
  directory: DirectoryConfig;
  base: string;
  mapper: EntryMapper;
  filter: ParsedFilter;
  sink: ListingSink;
}

/** Lists the users below one base, in pages of up to `limits.pageSize` rows. */
async function listUsers({ session, directory, base, mapper, filter, sink }: UserListing): Promise<void> {
  const { pageSize } = directory.limits;
  let entries: EntryColumns = emptyEntryColumns();
  let skipped: SkippedEntry[] = [];
  const flush = async (): Promise<void> => {
    if (entries.dns.length + skipped.length === 0) return;
    const page: ListingPage = { kind: "entries", entries: packColumns(entries), skipped };
    entries = emptyEntryColumns();
    skipped = [];
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
        const problem = mapper.map(entry, entries);
        if (problem !== undefined) skipped.push(problem);
        return handedOver;
      },
      onReference: (uris) => sink.onNote(referenceNote(base, uris)),
    },
    { what: `listing the users below "${base}"`, url: session.url, bindDn: directory.bind?.dn },
  );
  await flush();
}

function filterOfIds(filter: string, attribute: string, ids: string[]): ParsedFilter {
  return narrowFilter(
    filter,
    ids.map((id) => ({ kind: "equal", attribute, value: encodeId(attribute.toLowerCase(), id) })),
  );
}

function distinctBases(bases: readonly string[]): string[] {
  return [...new Map(bases.map((base) => [dnKeyOf(base) ?? base, base])).values()];
}

function firstOf(bases: readonly string[]): string {
  const [first] = bases;
  if (first === undefined) throw new AppError("invalid-config", "the directory has no bases to list");
  return first;
}

async function readBaseIds(
  session: LdapSession,
  bases: string[],
  bindDn: string | undefined,
): Promise<string[]> {
  const ids: string[] = [];
  for (const base of bases) ids.push(await readBaseId(session, base, bindDn));
  return ids;
}

function requireSame(what: string, before: string[], after: string[], url: string): void {
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

// A directory has a handful of parts elsewhere; a server that names thousands must not fill the log.
const mostNotes = 20;

function countingSink(sink: ListingSink, report: ListingReport): ListingSink {
  let notes = 0;
  const onNote = (note: ListingNote): void => {
    notes += 1;
    if (notes <= mostNotes) sink.onNote(note);
  };
  const onPage = (page: ListingPage): Promise<void> => {
    report.skipped += page.skipped.length;
    if (page.kind === "entries") report.entries += page.entries.rows;
    if (page.kind === "groups") {
      report.groups += page.groups.rows;
      report.members += page.members.rows;
    }
    return sink.onPage(page);
  };
  return { onPage, onNote };
}

function passedOverNote({ url, error }: UnreachableServer): ListingNote {
  return {
    message: "directory server passed over",
    fields: { url, errorCode: error.code, reason: error.message },
  };
}

// Not followed: what another server holds is that server's to list.
function referenceNote(base: string, uris: string[]): ListingNote {
  return {
    message: "directory has a part on another server, which is not listed",
    fields: { base, uris: uris.join(" ") },
  };
}
