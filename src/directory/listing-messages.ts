// What passes between the listing's thread and the main one. An AppError loses its class on the way and is put together
// again here. Pure types and two conversions.

import type { DirectoryConfig, DirectoryKind } from "../config/config.ts";
import { AppError, type AppErrorOptions, type ErrorCode } from "../errors.ts";
import type { ListingPage, ListingReport } from "./listing-page.ts";

/** Worth a line in the log; `message` is constant. */
export interface ListingNote {
  message: string;
  fields: Readonly<Record<string, string | number>>;
}

/** Who takes what is listed. */
export interface ListingSink {
  /** Called with one page at a time; the directory waits meanwhile. A rejection ends the listing with the same error. */
  onPage(page: ListingPage): Promise<void>;
  onNote(note: ListingNote): void;
}

/** One at a time. Holds the bind password: never to be logged. */
export interface ListingOrder {
  directory: DirectoryConfig;
  /** What the last complete listing was read as. */
  rememberedKind?: DirectoryKind | undefined;
  /** Only entries with these directory ids; undefined for all. */
  onlyIds?: string[] | undefined;
  /** Only what has changed since then; see list-changes.ts. */
  since?: Since | undefined;
}

/** What is known of a directory that was read before. */
export interface Since {
  /** Of the server then; see ServerIdentity. */
  identity: string;
  mark: string;
  /** Directory ids that are read again whatever the server says of them. */
  waiting: string[];
  /** Directory ids of entries that have changed before, by which it shows whether the server tells of changes. */
  known: string[];
}

export type FromWorker =
  | { kind: "alive" }
  | { kind: "note"; note: ListingNote }
  | { kind: "page"; page: ListingPage }
  | { kind: "done"; report: ListingReport }
  | { kind: "failed"; error: ErrorOnTheWay };

export type ToWorker =
  | { kind: "list"; order: ListingOrder }
  /** The main thread has taken a page and the next one may be sent. */
  | { kind: "taken" };

/** Pages that may be on the way or waiting in the main thread: one being worked on, one ready. */
export const pagesInFlight = 2;

/** How often a thread that is not stuck says so. */
export const aliveEveryMs = 1000;

/** `code` is undefined for what is no AppError. */
export interface ErrorOnTheWay {
  code: ErrorCode | undefined;
  message: string;
  remedy: string | undefined;
  fields: AppError["fields"];
  stack: string | undefined;
}

export function packError(error: unknown): ErrorOnTheWay {
  if (error instanceof AppError) {
    const { code, message, remedy, fields } = error;
    return { code, message, remedy, fields, stack: undefined };
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { code: undefined, message, remedy: undefined, fields: {}, stack };
}

export function unpackError(packed: ErrorOnTheWay): Error {
  if (packed.code === undefined) {
    return new Error("the listing broke", { cause: new Error(packed.stack ?? packed.message) });
  }
  const options: AppErrorOptions = { fields: packed.fields };
  if (packed.remedy !== undefined) options.remedy = packed.remedy;
  return new AppError(packed.code, packed.message, options);
}
