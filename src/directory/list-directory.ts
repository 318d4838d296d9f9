// Lists a directory in a worker thread, so that decoding never delays a sign-in. What sync and
// `check` use; the files beside it run in that thread.

import { Worker } from "node:worker_threads";
import type { DirectoryConfig, DirectoryKind } from "../config/config.ts";
import type { Log } from "../log.ts";
import { abortedBy } from "./ldap/connect-session.ts";
import type { ListingOrder, ListingSink, Since } from "./listing-messages.ts";
import type { ListingReport } from "./listing-page.ts";
import { type Supervision, superviseWorker } from "./supervise-worker.ts";

export interface ListDirectoryOptions extends Pick<ListingSink, "onPage"> {
  signal: AbortSignal;
  log: Log;
  /** What the last complete listing was read as, for a server that does not show what it is. */
  rememberedKind?: DirectoryKind | undefined;
  /** Reads only what has changed since then; the report tells with `doubt` where that cannot be told. */
  since?: Since | undefined;
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

// Heap of the listing's thread: a page of 1,000 users takes about 2 MiB, a group of 100,000 members about 30 MiB.
const listingHeapMb = 96;
// A message is held as bytes outside the heap; its members, as strings, take up to this much of it inside.
const heapPerMessageByte = 3;
// A small young generation: the memory of a page is soon free again, and more would only make the process bigger.
const listingNurseryMb = 8;
// Thirty missed signs of life: on a busy machine a thread misses a few, in an endless loop it misses all.
const silenceMs = 30_000;

/** As `listDirectory`, with the notes handed over instead of logged; of users, only those with `onlyIds` if that is given. */
export async function listInThread(
  directory: DirectoryConfig,
  options: Omit<Supervision, "silenceMs"> & Pick<ListingOrder, "rememberedKind" | "since">,
  onlyIds?: string[],
): Promise<ListingReport> {
  const { rememberedKind, since, ...supervision } = options;
  if (supervision.signal.aborted) throw abortedBy(supervision.signal);
  const order: ListingOrder = { directory, rememberedKind, onlyIds, since };
  const messageMb = Math.ceil((directory.limits.messageBytes * heapPerMessageByte) / 1024 / 1024);
  const worker = new Worker(workerUrl(), {
    workerData: order,
    name: `listing ${directory.name}`,
    execArgv: [],
    resourceLimits: {
      maxOldGenerationSizeMb: listingHeapMb + messageMb,
      maxYoungGenerationSizeMb: listingNurseryMb,
    },
  });
  return await superviseWorker(worker, { ...supervision, silenceMs });
}

// As .ts beside this file when run from source, as .js when compiled.
function workerUrl(): URL {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return new URL(`./list-directory-in-worker.${extension}`, import.meta.url);
}
