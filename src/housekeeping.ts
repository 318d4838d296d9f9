// What a daemon tidies up beside its work: users removed long ago, old sync runs, lockouts that are over, and the space that
// deleted rows leave in the embedded database. Any number of replicas may do it.
// It stands beside daemon.ts, which starts it, because it acts in folders that do not know each other: users, sync, verification.

import type { Actor } from "./audit/audit-events-table.ts";
import type { RetentionConfig } from "./config/config.ts";
import type { Log } from "./log.ts";
import { type Rounds, startRounds } from "./rounds.ts";
import type { Database, OpenDatabase } from "./store/database.ts";
import { vacuumTables } from "./store/vacuum-table.ts";
import { deleteOldRuns } from "./sync/sync-runs-table.ts";
import { purgeRemovedUsers } from "./users/purge-removed.ts";
import { recordEndedLockouts } from "./verification/lockouts-table.ts";

// Retention is counted in days; an hour more or less does not matter.
const everyMs = 3_600_000;

export interface HousekeepingDeps {
  db: Database;
  log: Log;
  actor: Actor;
  engine: OpenDatabase["engine"];
}

/** Does one round now and one every hour. `retention` is asked each time: the configuration may be read again. */
export function startHousekeeping(deps: HousekeepingDeps, retention: () => RetentionConfig): Rounds {
  return startRounds({ round: () => tidy(deps, retention()), pauseMs: () => everyMs, atOnce: true });
}

async function tidy(deps: HousekeepingDeps, retention: RetentionConfig): Promise<void> {
  try {
    const users = await purgeRemovedUsers(deps, { retentionMs: retention.removedUsersMs, actor: deps.actor });
    const runs = await deps.db.transaction((trx) => deleteOldRuns(trx, retention.syncRunsMs));
    await tellEndedLockouts(deps.db);
    if (deps.engine === "embedded") await vacuumTables(deps.db);
    if (users + runs > 0) deps.log.info({ users, runs }, "retention applied");
  } catch (error) {
    deps.log.warn({ err: error }, "retention not applied; tried again in an hour");
  }
}

// One transaction's worth of audit events.
const lockoutsAtOnce = 500;

/** Those whose user did not come back; the guard tells of the others. */
async function tellEndedLockouts(db: Database): Promise<void> {
  let told: number;
  do told = await db.transaction((trx) => recordEndedLockouts(trx, lockoutsAtOnce));
  while (told === lockoutsAtOnce);
}
