// Listing into staging: each page of a directory's listing goes into the store as it arrives. What comes back is a listing
// known to be complete, with the number of rows by which a later transaction knows that they are still there.

import { isDeepStrictEqual } from "node:util";
import { systemClock } from "../clock.ts";
import type { DirectoryConfig } from "../config/config.ts";
import { fromFirstServer, type OneServer } from "../directory/failover.ts";
import { listDirectory } from "../directory/list-directory.ts";
import type {
  EntryColumns,
  GroupColumns,
  ListingPage,
  ListingReport,
  MemberRows,
  SkippedEntry,
} from "../directory/listing-page.ts";
import type { ListingThreads } from "../directory/listing-threads.ts";
import { type Packed, packColumns, pickRows, valuesOf } from "../directory/packed-columns.ts";
import { AppError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Database, Transaction } from "../store/database.ts";
import { newUserIds } from "../users/user-ids.ts";
import { getDirectoryMemory } from "./directories-table.ts";
import {
  countStaged,
  insertSkips,
  type MemberStretch,
  nothingStaged,
  resetStaging,
  type StagedRows,
  type StagingRun,
  stageEdges,
  stageEntries,
  stageGroups,
  stageUnchanged,
} from "./staging-table.ts";

export interface StageInput {
  run: StagingRun;
  directory: DirectoryConfig;
  signal: AbortSignal;
  /** Called with the number of entries listed so far. */
  onProgress?: ((entries: number) => void) | undefined;
}

export interface StagedListing extends ListingReport {
  /** Users whose stored copy equals the listing. */
  unchanged: number;
  /** What was handed over to the store. */
  staged: StagedRows;
}

/**
 * Rejects with the listing's AppError unless the listing is complete (rule 4). Where a server fails in the middle, staging is
 * emptied and the listing starts again on the next one.
 */
export async function stageListing(
  deps: { db: Database; log: Log; listingThreads?: ListingThreads },
  input: StageInput,
): Promise<StagedListing> {
  const { directory, signal } = input;
  const memory = await getDirectoryMemory(deps.db, directory.name);
  const rememberedKind = memory.kind ?? undefined;
  const list = async (server: OneServer, isFirst: boolean) => {
    if (!isFirst) await resetStaging(deps.db, input.run);
    const staging = new Staging(deps.db, input, memory.firstImportedAt !== null);
    const onPage = (page: ListingPage) => staging.add(page);
    const { log, listingThreads: threads } = deps;
    const report = await listDirectory(server, { signal, rememberedKind, log, threads, onPage });
    return { ...report, unchanged: staging.unchangedUsers, staged: staging.rows() };
  };
  return fromFirstServer(directory, list, deps.log);
}

type GroupsPage = Extract<ListingPage, { kind: "groups" }>;

/** Counts what it has put into staging, to compare it with what is there in the end. */
class Staging {
  unchangedUsers = 0;
  #unchangedGroups = 0;
  #stagedEntries = 0;
  #stagedGroups = 0;
  #stagedEdges = 0;
  #skips = 0;
  #listed = 0;
  #pages = 0;
  // Those whose members are compared. One id a group, not a member: small even for 10,000 groups.
  readonly #changedGroups = new Set<string>();
  /** The last key so far of the group whose members go on in the next page; null where they are not compared. */
  #goesOnAfter: string | null = null;
  readonly #db: Database;
  readonly #input: StageInput;
  /** False spares a first import the comparison with stored users. */
  readonly #usersStored: boolean;

  constructor(db: Database, input: StageInput, usersStored: boolean) {
    this.#db = db;
    this.#input = input;
    this.#usersStored = usersStored;
  }

  async add(page: ListingPage): Promise<void> {
    if (page.kind === "entries") {
      await this.#addEntries(page.entries);
      this.#listed += page.entries.rows + page.skipped.length;
      this.#input.onProgress?.(this.#listed);
      await this.#addSkips("users", [...page.skipped, ...page.leftOut]);
    } else {
      const differing = await this.#addGroups(page.groups);
      await this.#addMembers(page, differing);
      await this.#addSkips("groups", page.skipped);
    }
  }

  async #addSkips(of: "users" | "groups", skipped: SkippedEntry[]): Promise<void> {
    await insertSkips(this.#db, this.#input.run, { of, skipped });
    this.#skips += skipped.length;
  }

  async #addEntries(entries: Packed<EntryColumns>): Promise<void> {
    const { run } = this.#input;
    if (entries.rows === 0) return;
    let differing = entries;
    if (this.#usersStored) {
      const number = this.#pages++;
      const rows = await stageUnchanged(this.#db, run, { table: "users", number, listed: entries });
      differing = pickRows(entries, (row) => rows.has(row));
      this.unchangedUsers += entries.rows - differing.rows;
    }
    if (differing.rows === 0) return;
    const { columns: userIds } = packColumns({ userIds: newUserIds(systemClock.now(), differing.rows) });
    await stageEntries(this.#db, run, {
      rows: differing.rows,
      columns: { ...differing.columns, ...userIds },
    });
    this.#stagedEntries += differing.rows;
  }

  /** The numbers of the groups that differ from the stored ones. */
  async #addGroups(groups: Packed<GroupColumns>): Promise<Set<number>> {
    const { run } = this.#input;
    if (groups.rows === 0) return new Set();
    const number = this.#pages++;
    const rows = await stageUnchanged(this.#db, run, { table: "groups", number, listed: groups });
    const differing = pickRows(groups, (row) => rows.has(row));
    this.#unchangedGroups += groups.rows - differing.rows;
    if (differing.rows > 0) await stageGroups(this.#db, run, differing);
    this.#stagedGroups += differing.rows;
    return rows;
  }

  async #addMembers({ members, memberRows }: GroupsPage, differing: ReadonlySet<number>): Promise<void> {
    if (differing.size === 0 && this.#goesOnAfter === null) return;
    const stretches = this.#stretchesOf(valuesOf(members, "memberKeys"), memberRows, differing);
    if (stretches.length > 0) this.#stagedEdges += await stageEdges(this.#db, this.#input.run, stretches);
  }

  #stretchesOf(
    memberKeys: readonly string[],
    memberRows: readonly MemberRows[],
    differing: ReadonlySet<number>,
  ): MemberStretch[] {
    const stretches: MemberStretch[] = [];
    let [group, row] = [0, 0];
    for (const { groupDirectoryId, rows, isFirst, isLast } of memberRows) {
      const keys = memberKeys.slice(row, row + rows);
      row += rows;
      const after = isFirst ? null : this.#goesOnAfter;
      const isCompared = isFirst
        ? this.#isComparedFirst(groupDirectoryId, differing.has(group++))
        : after !== null;
      if (isCompared) stretches.push({ groupDirectoryId, after, memberKeys: keys, isLast });
      this.#goesOnAfter = isCompared && !isLast ? (keys.at(-1) ?? after) : null;
    }
    return stretches;
  }

  /** A group that lies below two bases is listed twice. The first row of it is kept (see dropDuplicates), so its members count. */
  #isComparedFirst(directoryId: string, differs: boolean): boolean {
    if (!differs || this.#changedGroups.has(directoryId)) return false;
    this.#changedGroups.add(directoryId);
    return true;
  }

  rows(): StagedRows {
    return {
      ...nothingStaged,
      unchanged: this.unchangedUsers + this.#unchangedGroups,
      entries: this.#stagedEntries,
      groups: this.#stagedGroups,
      edges: this.#stagedEdges,
      skips: this.#skips,
    };
  }
}

/**
 * Throws AppError `run-incomplete-staging` when the store does not hold all that was put into it. Staging is lost when the
 * database crashes, and commits may be lost in a failover: so it is counted in each transaction that uses it.
 */
export async function requireStaged(trx: Transaction, run: StagingRun, expected: StagedRows): Promise<void> {
  if (isDeepStrictEqual(await countStaged(trx, run), expected)) return;
  throw new AppError("run-incomplete-staging", "The database lost part of what the run had staged in it.", {
    remedy:
      "Check the database for a restart or failover during the run; the next run starts from the beginning.",
  });
}
