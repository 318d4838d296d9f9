// What the tests of this folder share: a listing collected in this thread, row by row.

import type { DirectoryConfig, DirectoryKind } from "../../src/config/config.ts";
import { listOnce } from "../../src/directory/list-session.ts";
import type { ListingNote } from "../../src/directory/listing-messages.ts";
import type { ListingPage, ListingReport, SkippedEntry } from "../../src/directory/listing-page.ts";
import { unpackColumns, valuesOf } from "../../src/directory/packed-columns.ts";
import { type AppError, errorCodeOf } from "../../src/errors.ts";

export interface Collected {
  report: ListingReport;
  usernames: string[];
  directoryIds: string[];
  disabled: string[];
  groups: string[];
  /** "group's directory id > member key" */
  edges: string[];
  skipped: SkippedEntry[];
  pages: ListingPage[];
  notes: ListingNote[];
}

/** Lists in this thread, which a debugger can follow; rejects as listDirectory does. */
export async function collect(
  directory: DirectoryConfig,
  signal = new AbortController().signal,
  rememberedKind?: DirectoryKind,
): Promise<Collected> {
  const pages: ListingPage[] = [];
  const notes: ListingNote[] = [];
  const sink = {
    onPage: async (page: ListingPage) => void pages.push(page),
    onNote: (note: ListingNote) => void notes.push(note),
  };
  const report = await listOnce({ directory, rememberedKind }, sink, signal);
  return { report, ...rowsOf(pages), pages, notes };
}

export function rowsOf(pages: ListingPage[]): Omit<Collected, "report" | "pages" | "notes"> {
  const entryPages = pages.flatMap((page) => (page.kind === "entries" ? [unpackColumns(page.entries)] : []));
  const groupPages = pages.flatMap((page) => (page.kind === "groups" ? [page] : []));
  return {
    usernames: entryPages.flatMap((entries) => entries.usernames),
    directoryIds: entryPages.flatMap((entries) => entries.directoryIds),
    disabled: entryPages.flatMap((entries) =>
      entries.usernames.filter((_, row) => entries.disabled[row] === "true"),
    ),
    groups: groupPages.flatMap(({ groups }) => valuesOf(groups, "names")),
    edges: groupPages.flatMap((page) => {
      const keys = valuesOf(page.members, "memberKeys");
      return page.memberRows.flatMap(({ groupDirectoryId, rows }) =>
        keys.splice(0, rows).map((key) => `${groupDirectoryId} > ${key}`),
      );
    }),
    skipped: pages.flatMap((page) => page.skipped),
  };
}

/** The code, message and remedy of the AppError that a promise rejects with; fails the test when it resolves. */
export async function failureOf(promise: Promise<unknown>): Promise<AppError> {
  try {
    await promise;
  } catch (error) {
    if (errorCodeOf(error) !== undefined) return error as AppError; // just checked
    throw error;
  }
  throw new Error("it succeeded");
}
