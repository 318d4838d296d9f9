// Tells the other replicas, and whoever rotates keys, which sealing keys this daemon can use. Never tells a key.

import { errorCodeOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { startRounds } from "../rounds.ts";
import type { Database } from "../store/database.ts";
import { listKeyIds, readKeyFile } from "./key-folder.ts";
import { deleteLostReplicas, deleteReplica, type KeyCheckValues, upsertReplica } from "./replicas-table.ts";

// An admin who has copied a key file waits no longer than this before a rotation sees it.
const everyMs = 10_000;
/** A replica that has not reported for so long has ended, or its database is away: it cannot be asked. */
export const reportedWithinMs = 6 * everyMs;
// Long enough to be seen by an admin who looks after a crash.
const lostAfterMs = 24 * 60 * 60 * 1000;

export interface ReportKeysDeps {
  db: Database;
  folder: string;
  log: Log;
  holder: string;
}

/** Reports once, and then every few seconds. */
export async function startKeyReports(deps: ReportKeysDeps): Promise<{ stop(): Promise<void> }> {
  await report(deps);
  const rounds = startRounds({ round: () => report(deps), pauseMs: () => everyMs });
  return {
    async stop() {
      await rounds.stop();
      await deleteReplica(deps.db, deps.holder).catch((error: unknown) => {
        deps.log.warn({ err: error }, "replica not signed off; it is forgotten by itself");
      });
    },
  };
}

async function report(deps: ReportKeysDeps): Promise<void> {
  try {
    await upsertReplica(deps.db, { holder: deps.holder, keys: await readCheckValues(deps) });
    await deleteLostReplicas(deps.db, lostAfterMs);
  } catch (error) {
    deps.log.warn({ err: error }, "sealing keys not reported; tried again");
  }
}

async function readCheckValues({ folder, log }: ReportKeysDeps): Promise<KeyCheckValues> {
  // Warnings about the files were given at the start.
  const quiet = log.child({}, { level: "error" });
  const values: Record<string, string> = {};
  for (const id of await listKeyIds(folder)) {
    try {
      const key = await readKeyFile(folder, id, quiet);
      if (key) values[id] = key.checkValue.toString("hex");
    } catch (error) {
      // A file that is no key, or cannot be read, is a key that this replica lacks.
      if (errorCodeOf(error) === undefined) throw error;
    }
  }
  return values;
}
