// The listing part of a probe: lists everything once as a run would, counts, keeps a few rows to show, and tells what a
// run would stumble over.

import type { DirectoryConfig } from "../../config/config.ts";
import { listInThread } from "../list-directory.ts";
import type { ListingNote } from "../listing-messages.ts";
import type { EntryColumns, ListingPage, ListingReport, SkippedEntry, SkipReason } from "../listing-page.ts";
import { unpackColumns, valuesOf } from "../packed-columns.ts";
import { isListed, ListingFindings } from "./listing-findings.ts";
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
    ...(probe.failure === undefined ? findings.warnings() : []),
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
