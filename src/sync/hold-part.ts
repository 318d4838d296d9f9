// Measures a plan for a part of the directory: for one user who was read, or for the entries that have changed.

import type { DirectoryConfig } from "../config/config.ts";
import type { Transaction } from "../store/database.ts";
import { decideHold, type Measured, sumOfDay } from "./limits.ts";
import { countStoredUsers, listEarlierRuns } from "./measures-table.ts";
import type { PlanRun } from "./plan-table.ts";
import type { HoldCode, RunRemark } from "./sync-run.ts";

/** The limits of a day count readings and runs together: a thousand sign-ins must not do what a run would be held for. */
export async function findHoldsOfPart(
  trx: Transaction,
  run: PlanRun,
  { directory, measured }: { directory: DirectoryConfig; measured: Measured },
): Promise<RunRemark<HoldCode>[]> {
  const measuresAny = Object.values(measured).some((users) => users > 0);
  if (!measuresAny) return [];
  const facts = {
    measured,
    earlier: sumOfDay(await listEarlierRuns(trx, run.directory)),
    stored: await countStoredUsers(trx, run),
    // What is measured of a listing as a whole is not measured here.
    listed: 1,
    usable: 1,
    lostGroups: [],
    emptiedBases: [],
    knownElsewhere: [],
    groupsStored: 0,
    groupsListed: 0,
  };
  return decideHold(facts, directory.limits);
}
