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
  /** By this replica's schedule; undefined for runs on demand. */
  nextRun: Date | undefined;
}

export async function listDirectoryStates(
  deps: { db: Database; nextRunOf(directory: string): Date | undefined },
  names: readonly string[],
): Promise<DirectoryState[]> {
  const ages = await listSyncAges(deps.db);
  return Promise.all(
    names.map(async (name) => {
      const [lastRun] = await listRuns(deps.db, { directory: name, limit: 1 });
      return {
        name,
        age: ages.find(({ directory }) => directory === name),
        lastRun,
        nextRun: deps.nextRunOf(name),
      };
    }),
  );
}
