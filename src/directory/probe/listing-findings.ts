// What shows only when all pages of a listing are seen together: empty bases, shared names and ids, groups of strangers. Keeps keys
// of a bounded number of entries, so that a large directory does not fill the memory.

import type { DirectoryConfig } from "../../config/config.ts";
import { dnKeyOf } from "../../ldap-text/dn.ts";
import type { EntryColumns, ListingPage } from "../listing-page.ts";
import { type Packed, unpackColumns, valuesOf } from "../packed-columns.ts";
import type { ProbeWarning } from "./probe-outcome.ts";

// About 60 MiB of keys; what comes beyond is counted and not compared.
const mostTrackedEntries = 200_000;

/** Is given every page, then asked for its warnings once. */
export class ListingFindings {
  readonly #bases: { base: string; key: string | undefined; entries: number }[];
  /** How many entries have a username. */
  readonly #usernames = new Map<string, number>();
  /** The DN that each id was seen under. */
  readonly #directoryIds = new Map<string, string>();
  readonly #memberTargets = new Set<string>();
  readonly #sharedUsernames = new Map<string, string>();
  #repeatedIds = 0;
  #clashingIds = 0;
  #members = 0;
  #unknownMembers = 0;
  #allTracked = true;

  constructor(directory: DirectoryConfig) {
    this.#bases = directory.users.bases.map((base) => ({ base, key: dnKeyOf(base), entries: 0 }));
  }

  add(page: ListingPage): void {
    if (page.kind === "entries") this.#addEntries(page.entries);
    else this.#addMembers(page);
  }

  warnings(): ProbeWarning[] {
    return [
      ...this.#bases.filter(({ entries }) => entries === 0).map(({ base }) => emptyBase(base)),
      ...this.#sharedUsernamesWarning(),
      ...(this.#repeatedIds > 0 ? [repeatedIds(this.#repeatedIds)] : []),
      ...(this.#clashingIds > 0 ? [clashingIds(this.#clashingIds)] : []),
      ...(this.#allTracked && this.#members > 0 && this.#unknownMembers === this.#members
        ? [noMemberKnown(this.#members)]
        : []),
    ];
  }

  #addEntries(page: Packed<EntryColumns>): void {
    const entries = unpackColumns(page);
    for (const [row, dnKey] of entries.dnKeys.entries()) {
      for (const base of this.#bases) {
        if (base.key !== undefined && (dnKey === base.key || dnKey.endsWith(`,${base.key}`)))
          base.entries += 1;
      }
      if (this.#directoryIds.size >= mostTrackedEntries) {
        this.#allTracked = false;
        continue;
      }
      const id = entries.directoryIds[row] ?? "";
      const usernameKey = entries.usernameKeys[row] ?? "";
      const seenAs = this.#directoryIds.get(id);
      if (seenAs !== undefined) {
        if (seenAs === dnKey) this.#repeatedIds += 1;
        else this.#clashingIds += 1;
        continue;
      }
      this.#directoryIds.set(id, dnKey);
      const before = this.#usernames.get(usernameKey) ?? 0;
      this.#usernames.set(usernameKey, before + 1);
      if (before > 0) this.#sharedUsernames.set(usernameKey, entries.usernames[row] ?? "");
      this.#memberTargets.add(`dn:${dnKey}`).add(`uid:${usernameKey}`);
    }
  }

  #sharedUsernamesWarning(): ProbeWarning[] {
    const shared = [...this.#sharedUsernames];
    if (shared.length === 0) return [];
    const entries = shared.reduce((sum, [key]) => sum + (this.#usernames.get(key) ?? 0), 0);
    return [
      sharedUsernames(
        entries,
        shared.slice(0, 5).map(([, username]) => username),
      ),
    ];
  }

  #addMembers(page: Extract<ListingPage, { kind: "groups" }>): void {
    const listed = valuesOf(page.members, "memberKeys").filter(isListed);
    this.#members += listed.length;
    this.#unknownMembers += listed.filter((key) => !this.#memberTargets.has(key)).length;
  }
}

// A group's own number, by which users name it, is no member that it lists.
export function isListed(memberKey: string): boolean {
  return memberKey.startsWith("dn:") || memberKey.startsWith("uid:");
}

function emptyBase(base: string): ProbeWarning {
  return {
    message: `no user was found below the base "${base}"`,
    remedy: "Check users.filter, and that the bind DN may read the entries and the attributes in the filter.",
  };
}

function sharedUsernames(entries: number, some: string[]): ProbeWarning {
  return {
    message: `${entries} entries have a username that another of them has too (${some.join(", ")}): a run skips them all, but for one that is the stored user of that name`,
    remedy: "Give each person one username, or narrow users.filter so that it finds one entry a person.",
  };
}

function repeatedIds(count: number): ProbeWarning {
  return {
    message: `${count} entries were listed more than once, since bases overlap`,
    remedy: "Leave out the base that lies within another; nothing breaks otherwise.",
  };
}

function clashingIds(count: number): ProbeWarning {
  return {
    message: `${count} entries have the directory id of an entry with another DN: a run skips all entries of such an id`,
    remedy: "Set users.attributes.id to an attribute that no two entries share, or correct the entries.",
  };
}

function noMemberKnown(members: number): ProbeWarning {
  return {
    message: `none of the ${members} group members is a listed user`,
    remedy: "Check groups.members: it must name attributes that hold users' DNs or usernames.",
  };
}
