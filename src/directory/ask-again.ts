// Asks a server again for some entries by directory id: an entry that moves from one base to another during a listing can be
// missing from both. Decides nothing.

import type { DirectoryConfig } from "../config/config.ts";
import { AppError } from "../errors.ts";
import { dnKeyOf } from "../ldap-text/dn.ts";
import { listInThread } from "./list-directory.ts";
import type { ServerIdentity } from "./listing-page.ts";
import type { ListingThreads } from "./listing-threads.ts";
import { unpackColumns } from "./packed-columns.ts";

/** The most ids that are asked for again: a plan that removes more is held, or an admin has allowed it. */
export const mostAskedAgain = 500;

/**
 * The DNs of the entries below the configured bases that have these ids now, also of entries that cannot be used. Rejects as a
 * listing does, and with `directory-changed-during-listing` when another server answers than the one that was listed.
 */
export async function askAgain(
  directory: DirectoryConfig,
  question: {
    ids: string[];
    server: ServerIdentity;
    signal: AbortSignal;
    threads?: ListingThreads | undefined;
  },
): Promise<Map<string, string[]>> {
  const { ids, server, signal, threads } = question;
  const found = new Map<string, Map<string, string>>();
  const add = (id: string | null, dn: string) => {
    if (id === null) return;
    const dns = found.get(id) ?? new Map<string, string>();
    found.set(id, dns.set(dnKeyOf(dn) ?? dn, dn)); // once, where bases overlap
  };
  const report = await listInThread(
    { ...directory, urls: [server.url], groups: undefined },
    {
      signal,
      threads,
      onNote: () => {}, // the listing has reported them already
      onPage: async (page) => {
        for (const skipped of page.skipped) add(skipped.directoryId, skipped.dn);
        if (page.kind === "groups") return;
        const { directoryIds, dns } = unpackColumns(page.entries);
        for (const [row, id] of directoryIds.entries()) add(id, dns[row] ?? "");
      },
    },
    ids,
  );
  if (report.server.identity !== server.identity) {
    throw new AppError(
      "directory-changed-during-listing",
      "another server answered than the one that was listed",
      {
        remedy:
          "Nothing needs to be done if the next run succeeds; otherwise look for servers behind one address.",
        fields: { url: server.url, before: server.identity, after: report.server.identity },
      },
    );
  }
  return new Map([...found].map(([id, dns]) => [id, [...dns.values()]]));
}
