// What is asked of a directory about one user, and what it answers: between the main thread and the one that speaks LDAP.
// Types only.

import type { DirectoryKind } from "../config/config.ts";
import type { ErrorOnTheWay } from "./listing-messages.ts";
import type { EntryColumns, ServerIdentity, SkippedEntry } from "./listing-page.ts";
import type { Packed } from "./packed-columns.ts";

export interface UserQuestion {
  /** A sign-in name as it was typed; undefined to ask by directory ids alone. */
  name: string | undefined;
  /** Directory ids of stored users who are meant as well. */
  ids: readonly string[];
  /** What the last complete listing was read as. */
  rememberedKind: DirectoryKind | undefined;
}

export interface UserReading {
  server: ServerIdentity;
  kind: DirectoryKind;
  /** Entries that the name or an id means, and others that claim the same username. None: the directory shows no such user. */
  entries: Packed<EntryColumns>;
  skipped: SkippedEntry[];
  leftOut: SkippedEntry[];
  /** By directory id of an entry that is not disabled: the groups it is in. Empty where no groups are configured. */
  groups: { directoryId: string; groups: FoundGroup[] }[];
}

/** A group that lists a user, or a group that does. */
export interface FoundGroup {
  directoryId: string;
  name: string;
  nameKey: string;
  dnKey: string;
}

/** What the thread is told; questions come one at a time. */
export interface ToReader {
  question: UserQuestion;
}

export type FromReader = { kind: "answer"; reading: UserReading } | { kind: "failed"; error: ErrorOnTheWay };
