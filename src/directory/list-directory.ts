// Lists a directory in a worker thread, so that decoding never delays a sign-in. What sync and
// `check` use; the files beside it run in that thread.

import type { DirectoryConfig, DirectoryKind } from "../config/config.ts";
import type { Log } from "../log.ts";
import { abortedBy } from "./ldap/connect-session.ts";
import type { ListingOrder, ListingSink, Since } from "./listing-messages.ts";
import type { ListingReport } from "./listing-page.ts";
import { type ListingThreads, startListingThread } from "./listing-threads.ts";
import { orderListing, type Supervision, superviseWorker } from "./supervise-worker.ts";

export interface ListDirectoryOptions extends Pick<ListingSink, "onPage"> {
  signal: AbortSignal;
  log: Log;
  /** What the last complete listing was read as, for a server that does not show what it is. */
  rememberedKind?: DirectoryKind | undefined;
  /** Reads only what has changed since then; the report tells with `doubt` where that cannot be told. */
  since?: Since | undefined;
  /** Where the listing takes its thread from and gives it back to. Without, it has a new one, which ends with it. */
  threads?: ListingThreads | undefined;
}

/**
 * Resolves only for a listing of the directory's first server known to be complete (rule 4), when every page has been taken by
 * `onPage`. Otherwise rejects with an AppError with a DirectoryErrorCode, a message and a remedy (or `aborted`, or what `onPage`
 * rejected with). No page is being taken any more when it settles. Entries that lie below two configured bases come twice.
 */
export function listDirectory(
  directory: DirectoryConfig,
  { log, ...options }: ListDirectoryOptions,
): Promise<ListingReport> {
  return listInThread(directory, {
    ...options,
    onNote: ({ message, fields }) => log.warn({ directory: directory.name, ...fields }, message),
  });
}

// Thirty missed signs of life: on a busy machine a thread misses a few, in an endless loop it misses all.
const silenceMs = 30_000;

/** As `listDirectory`, with the notes handed over instead of logged; of users, only those with `onlyIds` if that is given. */
export async function listInThread(
  directory: DirectoryConfig,
  options: Omit<Supervision, "silenceMs"> &
    Pick<ListingOrder, "rememberedKind" | "since"> &
    Pick<ListDirectoryOptions, "threads">,
  onlyIds?: string[],
): Promise<ListingReport> {
  const { rememberedKind, since, threads, ...supervision } = options;
  if (supervision.signal.aborted) throw abortedBy(supervision.signal);
  const order: ListingOrder = { directory, rememberedKind, onlyIds, since };
  const worker = threads?.take(directory) ?? startListingThread(directory);
  orderListing(worker, order);
  const report = await superviseWorker(worker, { ...supervision, silenceMs });
  if (threads === undefined) await worker.terminate();
  else await threads.giveBack(directory, worker);
  return report;
}
