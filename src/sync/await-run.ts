// Follows a run of another process to its end.

import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../store/database.ts";
import { isLeaseHeld } from "../store/leases-table.ts";
import { syncLeaseName } from "./keep-lease.ts";
import type { SyncRun } from "./sync-run.ts";
import { findRun } from "./sync-runs-table.ts";

// Runs take seconds; looking twice a second costs nothing.
const lookEveryMs = 500;

/** The ended run; undefined once its process has let the directory's lease expire. Rejects when `signal` is aborted. */
export async function awaitRunOf(
  db: Database,
  run: SyncRun,
  signal?: AbortSignal,
): Promise<SyncRun | undefined> {
  for (;;) {
    // A run ends before it gives its lease back, so the lease comes first.
    const alive = await isLeaseHeld(db, syncLeaseName(run.directory));
    const current = await findRun(db, run.id);
    if (current && current.status !== "running") return current;
    if (!alive) return undefined;
    await sleep(lookEveryMs, undefined, signal === undefined ? {} : { signal });
  }
}
