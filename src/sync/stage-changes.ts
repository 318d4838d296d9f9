// What has changed in a directory since the last run, into staging (rule 25), or why that cannot be told: another server, one that
// was restored, a changed configuration, a gap.

import { systemClock } from "../clock.ts";
import type { DirectoryConfig } from "../config/config.ts";
import { fromFirstServer, type OneServer } from "../directory/failover.ts";
import { listDirectory } from "../directory/list-directory.ts";
import type { Since } from "../directory/listing-messages.ts";
import type { DeltaDoubt, ListingPage, ListingReport } from "../directory/listing-page.ts";
import type { ListingThreads } from "../directory/listing-threads.ts";
import { packColumns } from "../directory/packed-columns.ts";
import type { Log } from "../log.ts";
import type { Database } from "../store/database.ts";
import { newUserIds } from "../users/user-ids.ts";
import { copyOf, type DirectoryMemory, getDirectoryMemory } from "./directories-table.ts";
import { type DirectoryMark, findMark, listNewest, listWaiting } from "./marks-table.ts";
import { readingOf } from "./reading-of.ts";
import { readDatabaseTime } from "./refresh-user-table.ts";
import {
  insertSkips,
  nothingStaged,
  resetStaging,
  type StagedRows,
  type StagingRun,
  stageEntries,
} from "./staging-table.ts";

// Entries that wait are read again by every run; more of them than this are a fault in the directory that a listing reports.
const mostWaiting = 1000;
// Enough that not all of them have just gone.
const newestAsked = 20;

/** Read from the directory and staged, whole. */
export interface StagedChanges {
  report: ListingReport & { mark: string };
  staged: StagedRows;
  /** As it was when the directory was asked. */
  since: DirectoryMark;
  memory: DirectoryMemory;
  /** By the database's clock, before the directory was asked. */
  askedAt: string;
}

export interface StageChangesInput {
  run: StagingRun;
  directory: DirectoryConfig;
  signal: AbortSignal;
  /** Called with the number of entries read so far. */
  onProgress: ((entries: number) => void) | undefined;
}

/** Rejects as a listing does when no server answers. */
export async function stageChanges(
  deps: { db: Database; log: Log; listingThreads?: ListingThreads },
  { run, directory, signal, onProgress }: StageChangesInput,
): Promise<StagedChanges | { doubt: DeltaDoubt }> {
  const { db, log, listingThreads: threads } = deps;
  const memory = await getDirectoryMemory(db, directory.name);
  const found = await findSince(db, directory, memory);
  if ("doubt" in found) return found;
  const { since, order } = found;
  const askedAt = await readDatabaseTime(db);
  const list = async (
    server: OneServer,
    isFirst: boolean,
  ): Promise<StagedChanges | { doubt: DeltaDoubt }> => {
    if (!isFirst) await resetStaging(db, run);
    const staged: StagedRows = { ...nothingStaged };
    const onPage = async (page: ListingPage) => {
      await stagePage(db, run, page, staged);
      onProgress?.(staged.entries + staged.skips);
    };
    const rememberedKind = memory.kind ?? undefined;
    const report = await listDirectory(server, {
      signal,
      log,
      rememberedKind,
      threads,
      since: order,
      onPage,
    });
    if (report.doubt) return { doubt: report.doubt };
    const { mark } = report;
    if (mark === null || report.kind !== memory.kind || copyOf(memory, report.server) !== "same") {
      return { doubt: otherServer };
    }
    return { report: { ...report, mark }, staged, since, memory, askedAt };
  };
  return fromFirstServer(directory, list, log);
}

const otherServer: DeltaDoubt = {
  code: "another-server",
  text: "another server answered than the last time",
};

/** From where on to ask, or why that is not known. */
async function findSince(
  db: Database,
  directory: DirectoryConfig,
  memory: DirectoryMemory,
): Promise<{ since: DirectoryMark; order: Since } | { doubt: DeltaDoubt }> {
  const since = await findMark(db, directory.name);
  if (since === undefined || memory.firstImportedAt === null || memory.kind === null) {
    return doubt("no-mark", "no full run has noted how far the server's changes had got");
  }
  if (since.reading !== readingOf(directory, memory.kind)) {
    return doubt(
      "read-otherwise",
      "bases, filters, attributes or the bind DN are configured otherwise than before",
    );
  }
  const waiting = await listWaiting(db, {
    directory: directory.name,
    fullRun: since.fullRun,
    most: mostWaiting,
  });
  if (waiting === undefined) return doubt("full-run-forgotten", "the last full run is not kept any more");
  if (waiting.length > mostWaiting) {
    return doubt(
      "many-skipped",
      `more than ${mostWaiting} entries are skipped and have to be looked at again`,
    );
  }
  const known = await listNewest(db, directory.name, newestAsked);
  return { since, order: { identity: since.serverIdentity, mark: since.mark, waiting, known } };
}

function doubt(code: string, text: string): { doubt: DeltaDoubt } {
  return { doubt: { code, text } };
}

async function stagePage(
  db: Database,
  run: StagingRun,
  page: ListingPage,
  staged: StagedRows,
): Promise<void> {
  if (page.kind === "groups") throw new Error("groups in a listing of changed users");
  const { entries } = page;
  if (entries.rows > 0) {
    const { columns: userIds } = packColumns({ userIds: newUserIds(systemClock.now(), entries.rows) });
    await stageEntries(db, run, { rows: entries.rows, columns: { ...entries.columns, ...userIds } });
    staged.entries += entries.rows;
  }
  const skipped = [...page.skipped, ...page.leftOut];
  await insertSkips(db, run, { of: "users", skipped });
  staged.skips += skipped.length;
}
