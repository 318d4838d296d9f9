// The listing part of a probe: lists everything once as a run would, counts, keeps a few rows to show, and tells what a
// run would stumble over. Keeps keys of a bounded number of entries, so that a large directory does not fill the memory.

import type { DirectoryConfig } from "../../config/config.ts";
import { dnKeyOf } from "../../ldap-text/dn.ts";
import { listInThread } from "../list-directory.ts";
import type { ListingNote } from "../listing-messages.ts";
import type { EntryColumns, ListingPage, ListingReport, SkippedEntry, SkipReason } from "../listing-page.ts";
import { type Packed, unpackColumns, valuesOf } from "../packed-columns.ts";
import { failureOf, type ProbeFailure, type ProbeWarning } from "./probe-outcome.ts";

export interface EntrySample {
  directoryId: string;
  username: string;
  displayName: string | null;
  email: string | null;
  dn: string;
  disabled: boolean;
  aliases: string[];
}

export interface ListingProbe {
  url: string;
  /** Why there is no complete listing; the counts are then what came before. */
  failure: ProbeFailure | undefined;
  entries: number;
  disabled: number;
  groups: number;
  members: number;
  skipped: number;
  skippedByReason: Partial<Record<SkipReason, number>>;
  /** The first five. */
  samples: EntrySample[];
  /** The first twenty. */
  skippedSamples: SkippedEntry[];
  firstPageMs: number | undefined;
  totalMs: number;
  warnings: ProbeWarning[];
}

const mostSamples = 5;
const mostSkippedSamples = 20;

/** Lists all that is configured from the server at `url` alone. */
export async function probeListing(
  directory: DirectoryConfig,
  url: string,
  signal: AbortSignal,
): Promise<ListingProbe> {
  const startedAt = performance.now();
  const elapsedMs = () => Math.round(performance.now() - startedAt);
  const probe: ListingProbe = {
    url,
    failure: undefined,
    entries: 0,
    disabled: 0,
    groups: 0,
    members: 0,
    skipped: 0,
    skippedByReason: {},
    samples: [],
    skippedSamples: [],
    firstPageMs: undefined,
    totalMs: 0,
    warnings: [],
  };
  const findings = new ListingFindings(directory);
  const notes: ListingNote[] = [];
  let report: ListingReport | undefined;
  try {
    report = await listInThread(
      { ...directory, urls: [url] },
      {
        signal,
        onPage: async (page) => {
          probe.firstPageMs ??= elapsedMs();
          countPage(probe, page);
          findings.add(page);
        },
        onNote: (note) => notes.push(note),
      },
    );
  } catch (error) {
    probe.failure = failureOf(error);
  }
  probe.totalMs = elapsedMs();
  probe.warnings = [
    ...(probe.failure === undefined ? findings.warnings(probe) : []),
    ...warningsOfCounts(probe),
    ...(report === undefined ? [] : warningsOfReport(report)),
    ...notes.map(warningOfNote),
  ];
  return probe;
}

function countPage(probe: ListingProbe, page: ListingPage): void {
  probe.skipped += page.skipped.length;
  for (const skipped of page.skipped) {
    probe.skippedByReason[skipped.reason] = (probe.skippedByReason[skipped.reason] ?? 0) + 1;
    if (probe.skippedSamples.length < mostSkippedSamples) probe.skippedSamples.push(skipped);
  }
  if (page.kind === "groups") {
    probe.groups += page.groups.rows;
    probe.members += valuesOf(page.members, "memberKeys").filter(isListed).length;
    return;
  }
  const { rows } = page.entries;
  const entries = unpackColumns(page.entries);
  probe.entries += rows;
  probe.disabled += entries.disabled.filter((disabled) => disabled === "true").length;
  for (let row = 0; row < rows && probe.samples.length < mostSamples; row += 1) {
    probe.samples.push(sampleOf(entries, row));
  }
}

function sampleOf(entries: { [name in keyof EntryColumns]: string[] }, row: number): EntrySample {
  const aliases: unknown = JSON.parse(entries.aliasKeys[row] || "[]");
  return {
    directoryId: entries.directoryIds[row] ?? "",
    username: entries.usernames[row] ?? "",
    displayName: entries.displayNames[row] || null,
    email: entries.emails[row] || null,
    dn: entries.dns[row] ?? "",
    disabled: entries.disabled[row] === "true",
    aliases: Array.isArray(aliases) ? aliases.map(String) : [],
  };
}

// About 60 MiB of keys; what comes beyond is counted and not compared.
const mostTrackedEntries = 200_000;

/** What shows only when all pages are seen together. */
class ListingFindings {
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

  warnings(probe: ListingProbe): ProbeWarning[] {
    return [
      ...this.#bases.filter(({ entries }) => entries === 0).map(({ base }) => emptyBase(base)),
      ...this.#sharedUsernamesWarning(),
      ...(this.#repeatedIds > 0 ? [repeatedIds(this.#repeatedIds)] : []),
      ...(this.#clashingIds > 0 ? [clashingIds(this.#clashingIds)] : []),
      ...(this.#allTracked && this.#members > 0 && this.#unknownMembers === this.#members
        ? [noMemberKnown(probe.members)]
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
function isListed(memberKey: string): boolean {
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

function warningsOfReport({ statesUnknown, leftOut }: ListingReport): ProbeWarning[] {
  const warnings: ProbeWarning[] = [];
  if (statesUnknown > 0) {
    warnings.push({
      message: `${statesUnknown} entries do not say whether they are disabled: known users keep their state, new ones are disabled`,
      remedy: "Give the bind DN the right to read userAccountControl, or set users.disabled.",
    });
  }
  if (leftOut > 0) {
    warnings.push({
      message: `${leftOut} entries have attributes that cannot be used, and count without them`,
      remedy: "The skips of a run name the entries and the attributes.",
    });
  }
  return warnings;
}

// A first page of an indexed search comes in well under a second.
const slowFirstPageMs = 3000;

function warningsOfCounts(probe: ListingProbe): ProbeWarning[] {
  const warnings: ProbeWarning[] = [];
  const without = (reason: SkipReason) => probe.skippedByReason[reason] ?? 0;
  if (without("no-id") > 0) {
    warnings.push({
      message: `${without("no-id")} entries show no directory id, and are skipped`,
      remedy: "Give the bind DN the right to read the id attribute, or set users.attributes.id.",
    });
  }
  if (without("no-username") > 0) {
    warnings.push({
      message: `${without("no-username")} entries have no username, and are skipped`,
      remedy: "Narrow users.filter to people who sign in, or set users.attributes.username.",
    });
  }
  if (probe.firstPageMs !== undefined && probe.firstPageMs > slowFirstPageMs) {
    warnings.push({
      message: `the first page took ${(probe.firstPageMs / 1000).toFixed(1)} s: the server seems to search without an index`,
      remedy: "Index the attributes in users.filter for equality.",
    });
  }
  return warnings;
}

function warningOfNote({ message, fields }: ListingNote): ProbeWarning {
  const facts = Object.entries(fields).map(([name, value]) => `${name} ${value}`);
  return {
    message: `${message} (${facts.join(", ")})`,
    remedy: "Configure that server as another directory if its users are needed.",
  };
}
