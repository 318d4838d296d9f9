// The configured directories as admins look at them: how old the copy is, the last run, when the next one is due. Reads only.

import type { Database } from "../store/database.ts";
import { listSyncAges, type SyncAge } from "./directories-table.ts";
import type { SyncRun } from "./sync-run.ts";
import { listRuns } from "./sync-runs-table.ts";

export interface DirectoryState {
  name: string;
  /** Undefined before the first complete listing. */
  age: SyncAge | undefined;
  /** Also a dry run. */
  lastRun: SyncRun | undefined;
  /** The last run that has ended and was no dry run, where that is held. */
  heldRun: SyncRun | undefined;
  /** By this replica's schedule; undefined for runs on demand. */
  nextRun: Date | undefined;
}

// One is going on at most; the others may be dry runs.
const runsLookedAt = 20;

export async function listDirectoryStates(
  deps: { db: Database; nextRunOf(directory: string): Date | undefined },
  names: readonly string[],
): Promise<DirectoryState[]> {
  const ages = await listSyncAges(deps.db);
  return Promise.all(
    names.map(async (name) => {
      const runs = await listRuns(deps.db, { directory: name, limit: runsLookedAt });
      const lastEnded = runs.find(({ status, dryRun }) => status !== "running" && !dryRun);
      return {
        name,
        age: ages.find(({ directory }) => directory === name),
        lastRun: runs[0],
        heldRun: lastEnded?.status === "held" ? lastEnded : undefined,
        nextRun: deps.nextRunOf(name),
      };
    }),
  );
}
