// What a listing hands over: pages of mapped and hashed directory entries, as columns, so that a page can go into
// Postgres as one `unnest` and cross a thread boundary cheaply. Pure types; knows no database and no users.

import type { DirectoryKind } from "../config/config.ts";
import type { Packed } from "./packed-columns.ts";

/** Row i of every column is one directory entry. All columns have the same length. */
export interface EntryColumns {
  directoryIds: string[];
  usernames: string[];
  /** The username as it is matched: NFKC, trimmed, lower case (rule 3). */
  usernameKeys: string[];
  displayNames: (string | null)[];
  emails: (string | null)[];
  dns: string[];
  /** The DN in its normal form, equal for every spelling of one DN. */
  dnKeys: string[];
  /** Null where the entry does not say: the attribute that every entry has is hidden, or holds no number. */
  disabled: (boolean | null)[];
  /** JSON array of further sign-in names in matching form, sorted, or null where there are none. */
  aliasKeys: (string | null)[];
  /** Member key of the primary group, `rid:513` or `gid:100`, which does not list the entry itself; null without one. */
  primaryGroupKeys: (string | null)[];
  /** Digest of everything mapped from the entry: equal digests mean that nothing dirmfa stores has changed. */
  hashes: string[];
}

export type SkipReason =
  | "no-id"
  | "bad-id"
  | "no-username"
  | "bad-username"
  /** Of a group. */
  | "no-name"
  | "bad-bytes"
  | "bad-dn"
  | "too-long"
  /** The entry is used, without one of its optional attributes. */
  | "attribute-left-out";

/** An entry that cannot be used. What is known of it protects the user that it belongs to (rule 8). */
export interface SkippedEntry {
  dn: string;
  dnKey: string | null;
  directoryId: string | null;
  usernameKey: string | null;
  /** What the entry says of the state of its user, which counts all the same; null where it does not, and of groups. */
  disabled: boolean | null;
  reason: SkipReason;
  /** One sentence for the admin: which attribute, what was found. */
  detail: string;
}

/** Row i of every column is one group. */
export interface GroupColumns {
  directoryIds: string[];
  names: string[];
  /** The name as it is matched, as a username is. */
  nameKeys: string[];
  dns: string[];
  dnKeys: string[];
  /** Digest of name, DN and all members. */
  hashes: string[];
}

/** Row i is one edge "a group lists this member"; `MemberRows` say which group. */
export interface MemberColumns {
  /** `dn:` and a DN key, `uid:` and a username key, or `rid:`, `gid:` and a number: all that have it as primary group. */
  memberKeys: string[];
}

/**
 * How many of the next rows of a page are members of one group. A large group's members arrive over several pages, one behind
 * the other. All in all they are distinct, and rise in the order of their bytes in UTF-8.
 */
export interface MemberRows {
  groupDirectoryId: string;
  rows: number;
  /** The group itself is in this page: the groups of a page are those whose members begin in it, in the same order. */
  isFirst: boolean;
  isLast: boolean;
}

export type ListingPage =
  | {
      kind: "entries";
      entries: Packed<EntryColumns>;
      skipped: SkippedEntry[];
      /** Entries among `entries` of which an attribute could not be used. They protect nobody, and name no keys. */
      leftOut: SkippedEntry[];
    }
  | {
      kind: "groups";
      groups: Packed<GroupColumns>;
      members: Packed<MemberColumns>;
      /** They add up to the rows of `members`. A group without members has one of no rows. */
      memberRows: MemberRows[];
      skipped: SkippedEntry[];
    };

/** Which server answered. Two listings with equal `identity` came from the same server in the same incarnation. */
export interface ServerIdentity {
  url: string;
  identity: string;
  /** How far the server's copy had got: OpenLDAP's contextCSN values, AD's highestCommittedUSN; null if it does not tell. */
  state: string | null;
}

/** Why a delta is not to be trusted: code and sentence. */
export interface DeltaDoubt {
  code: string;
  text: string;
}

/** Exists only for a listing known to be complete (rule 4), or for the whole of what has changed since a mark. */
export interface ListingReport {
  server: ServerIdentity;
  /** How far the server's changes had got before the listing; see change-mark.ts. */
  mark: string | null;
  /** Why what has changed cannot be told; then nothing was handed over. Of a listing of everything undefined. */
  doubt?: DeltaDoubt;
  /** As configured, else as the server shows it, else as it was the last time. */
  kind: DirectoryKind;
  /** Rows handed over in `entries` pages, without the skipped ones. */
  entries: number;
  skipped: number;
  /** Of `entries`: those that do not say whether they are disabled. */
  statesUnknown: number;
  /** Of `entries`: those of which an attribute was left out. */
  leftOut: number;
  groups: number;
  members: number;
  /** Servers that hold a part of what was asked for, which is not listed; a bounded number of them. */
  references: string[];
}
