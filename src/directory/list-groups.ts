// Lists the groups of one base: each group with all its members, however many ranges they come in, handed on in pages
// of bounded size. Holds the members of one group at a time.

import { AppError } from "../errors.ts";
import { usernameKeyOf } from "../username.ts";
import type { GroupMapping } from "./kinds.ts";
import { protocolError } from "./ldap/connection-errors.ts";
import { everyEntry, parseFilter } from "./ldap/filter.ts";
import type { RawEntry } from "./ldap/ldap-message.ts";
import type { LdapSession } from "./ldap/ldap-session.ts";
import { readEntry, searchPaged } from "./ldap/paged-search.ts";
import type { Asked } from "./ldap/result-errors.ts";
import type { ListingSink } from "./listing-messages.ts";
import type { GroupColumns, MemberColumns, MemberRows, SkippedEntry } from "./listing-page.ts";
import {
  addMemberKeys,
  createGroupMapper,
  groupHashOf,
  type MappedGroup,
  memberKeysInOrder,
  parseRange,
} from "./map-group.ts";
import { packColumns } from "./packed-columns.ts";

export interface GroupListing {
  session: LdapSession;
  base: string;
  mapping: GroupMapping;
  pageSize: number;
  bindDn: string | undefined;
  sink: ReferenceSink;
}

/** A sink that also hears of parts of the directory that are on other servers. */
export interface ReferenceSink extends ListingSink {
  onReference(base: string, uris: string[]): void;
}

// Groups can be large, so a page has fewer of them than of users.
const mostGroupsAPage = 200;
// About 0.5 MiB of keys, and one statement for the store.
const mostMembersAPage = 5000;

/** Resolves when every group of the base has been handed to the sink. */
export async function listGroups(listing: GroupListing): Promise<void> {
  const mapper = createGroupMapper(listing.mapping);
  const out = new GroupPages(listing.sink);
  let ranged: MappedGroup[] = [];
  const onEntry = (entry: RawEntry): Promise<void> | undefined => {
    const mapped = mapper.map(entry);
    if ("reason" in mapped) return out.addSkipped(mapped);
    if (mapped.rangedAttributes.length === 0) return out.add(mapped);
    ranged.push(mapped);
    return undefined;
  };
  const onPageEnd = async () => {
    const rangedOfPage = ranged;
    ranged = [];
    for (const group of rangedOfPage) await out.add(await readRangedMembers(listing, group));
  };
  const { base, mapping, session, bindDn } = listing;
  await searchPaged(
    session,
    {
      base,
      scope: "sub",
      filter: parseFilter(mapping.filter),
      attributes: mapper.attributes,
      pageSize: Math.min(listing.pageSize, mostGroupsAPage),
    },
    { onEntry, onPageEnd, onReference: (uris) => listing.sink.onReference(base, uris) },
    { what: `listing the groups below "${base}"`, url: session.url, bindDn },
  );
  await out.flush();
}

interface GroupPage {
  groups: GroupColumns;
  members: MemberColumns;
  memberRows: MemberRows[];
  skipped: SkippedEntry[];
}

/** Gathers groups and edges into pages; a page is handed on when it is full. */
class GroupPages {
  readonly #sink: ListingSink;
  #page: GroupPage = emptyPage();

  constructor(sink: ListingSink) {
    this.#sink = sink;
  }

  addSkipped(skipped: SkippedEntry): Promise<void> | undefined {
    this.#page.skipped.push(skipped);
    return this.#page.skipped.length >= mostGroupsAPage ? this.flush() : undefined;
  }

  add(group: MappedGroup): Promise<void> | undefined {
    const memberKeys = memberKeysInOrder(group.memberKeys);
    const { groups } = this.#page;
    groups.directoryIds.push(group.directoryId);
    groups.names.push(group.name);
    groups.nameKeys.push(usernameKeyOf(group.name));
    groups.dns.push(group.dn);
    groups.dnKeys.push(group.dnKey);
    groups.hashes.push(groupHashOf(group, memberKeys));
    const taken = this.#take(group.directoryId, memberKeys, 0);
    return this.#isFull ? this.#takeRest(group.directoryId, memberKeys, taken) : undefined;
  }

  async flush(): Promise<void> {
    const page = this.#page;
    if (page.groups.names.length + page.members.memberKeys.length + page.skipped.length === 0) return;
    this.#page = emptyPage();
    await this.#sink.onPage({
      kind: "groups",
      groups: packColumns(page.groups),
      members: packColumns(page.members),
      memberRows: page.memberRows,
      skipped: page.skipped,
    });
  }

  get #isFull(): boolean {
    return (
      this.#page.members.memberKeys.length >= mostMembersAPage ||
      this.#page.groups.names.length >= mostGroupsAPage
    );
  }

  // The rest of a group that did not fit, page after page.
  async #takeRest(directoryId: string, memberKeys: string[], from: number): Promise<void> {
    await this.flush();
    for (let taken = from; taken < memberKeys.length; ) {
      taken = this.#take(directoryId, memberKeys, taken);
      if (this.#isFull) await this.flush();
    }
  }

  // Adds as many edges as the page has room for; returns where the rest begins.
  #take(directoryId: string, memberKeys: string[], from: number): number {
    const { members, memberRows } = this.#page;
    const to = Math.min(memberKeys.length, from + mostMembersAPage - members.memberKeys.length);
    for (let row = from; row < to; row += 1) members.memberKeys.push(memberKeys[row] ?? "");
    const [isFirst, isLast] = [from === 0, to === memberKeys.length];
    memberRows.push({ groupDirectoryId: directoryId, rows: to - from, isFirst, isLast });
    return to;
  }
}

// Active Directory sends at most 1,500 members (MaxValRange) and names the range; the rest is asked for range by range.
// The first range is asked for again rather than kept, so that a page of large groups does not fill the memory.
async function readRangedMembers(listing: GroupListing, group: MappedGroup): Promise<MappedGroup> {
  const memberKeys = [...group.memberKeys];
  const { session, bindDn } = listing;
  const asked: Asked = { what: `reading the members of "${group.dn}"`, url: session.url, bindDn };
  for (const attribute of group.rangedAttributes) {
    let from: number | undefined = 0;
    while (from !== undefined) from = await readRange(session, group.dn, attribute, from, memberKeys, asked);
  }
  return { ...group, memberKeys };
}

/** Adds the members of one range; returns where the next one begins, or undefined after the last. */
async function readRange(
  session: LdapSession,
  dn: string,
  attribute: string,
  from: number,
  into: string[],
  asked: Asked,
): Promise<number | undefined> {
  const search = { base: dn, filter: everyEntry(), attributes: [`${attribute};range=${from}-*`] };
  const next = await readEntry(
    session,
    search,
    (entry) => takeRange(entry, attribute, from, into),
    asked,
  ).catch((error: unknown) => {
    throw error instanceof AppError && error.code === "directory-base-missing"
      ? groupChanged(dn, error)
      : error;
  });
  // A member that is removed between two ranges leaves a gap that looks like the end.
  if (next === undefined) throw groupChanged(dn);
  return next === "end" ? undefined : next;
}

function takeRange(
  entry: RawEntry,
  attribute: string,
  from: number,
  into: string[],
): number | "end" | undefined {
  const key = attribute.toLowerCase();
  for (const values of entry.attributes) {
    if (values.isEmpty) continue;
    const range = parseRange(values.description);
    const isWhole = from === 0 && values.description.toLowerCase() === key;
    if (range?.attribute !== key && !isWhole) continue;
    if (range !== undefined && (range.from !== from || (range.to !== undefined && range.to < from))) {
      throw protocolError(`"${values.description}" in answer to range ${from}-*`);
    }
    addMemberKeys(attribute, values, into);
    return range?.to === undefined ? "end" : range.to + 1;
  }
  return undefined;
}

function groupChanged(dn: string, cause?: unknown): AppError {
  return new AppError(
    "directory-changed-during-listing",
    `the group "${dn}" changed while its members were read`,
    {
      remedy: "Nothing needs to be done if the next run succeeds.",
      cause,
      fields: { dn },
    },
  );
}

function emptyPage(): GroupPage {
  return {
    groups: { directoryIds: [], names: [], nameKeys: [], dns: [], dnKeys: [], hashes: [] },
    members: { memberKeys: [] },
    memberRows: [],
    skipped: [],
  };
}
