// Reads all results of a search in pages (RFC 2696). Returns only when the server has said that there is no more;
// every other end is an error, since a part of a listing must never pass for the whole (rule 4).

import { PagedResultsControl } from "ldapts";
import { BerCursor, ber } from "./ber-cursor.ts";
import { protocolError } from "./connection-errors.ts";
import type { LdapResult, RawEntry, ResponseControl } from "./ldap-message.ts";
import type { LdapSession, SearchListener, SearchOptions } from "./ldap-session.ts";
import { type Asked, errorOfSearchResult } from "./result-errors.ts";

export interface PagedSearch extends SearchOptions {
  pageSize: number;
}

export interface PagedListener extends SearchListener {
  /** After each page, before the next one is asked for; other requests may be made meanwhile. */
  onPageEnd?(): Promise<void>;
}

// Active Directory sends empty pages while a filter finds nothing for minutes; this many in a row lead nowhere.
const mostEmptyPages = 1000;

/** Throws the AppError for the result code of any page that is not success. Never follows references. */
export async function searchPaged(
  session: LdapSession,
  search: PagedSearch,
  listener: PagedListener,
  asked: Asked,
): Promise<{ entries: number; pages: number }> {
  let entries = 0;
  let pages = 0;
  let emptyPages = 0;
  let cookie: Buffer = Buffer.alloc(0);
  const counting: SearchListener = {
    ...listener,
    onEntry: (entry) => {
      entries += 1;
      return listener.onEntry(entry);
    },
  };
  do {
    const before = entries;
    const paging = new PagedResultsControl({ critical: true, value: { size: search.pageSize, cookie } });
    const result = await session.search(
      { ...search, controls: [...(search.controls ?? []), paging] },
      counting,
    );
    if (result.code !== 0) throw errorOfSearchResult(result, asked);
    pages += 1;
    emptyPages = entries === before ? emptyPages + 1 : 0;
    if (emptyPages > mostEmptyPages) throw protocolError(`${emptyPages} empty pages in a row`);
    cookie = cookieOf(result);
    await listener.onPageEnd?.();
  } while (cookie.length > 0);
  return { entries, pages };
}

/** Reads the entry at `search.base`; undefined when the server answers success without it. Throws for any other result. */
export async function readEntry<T>(
  session: LdapSession,
  search: Omit<SearchOptions, "scope">,
  read: (entry: RawEntry) => T,
  asked: Asked,
): Promise<T | undefined> {
  let found: T | undefined;
  const result = await session.search(
    { ...search, scope: "base" },
    {
      onEntry: (entry) => {
        if (found !== undefined) throw protocolError("several entries in answer to a search for one");
        found = read(entry);
        return undefined;
      },
    },
  );
  if (result.code !== 0) throw errorOfSearchResult(result, asked);
  return found;
}

function cookieOf(result: LdapResult): Buffer {
  const control = result.controls.find(isPagingControl);
  if (control?.value === undefined) return Buffer.alloc(0);
  const value = new BerCursor(control.value).enter(ber.sequence);
  value.integer(); // an estimate of the total, mostly 0
  return value.octets();
}

function isPagingControl(control: ResponseControl): boolean {
  return control.oid === PagedResultsControl.type;
}
