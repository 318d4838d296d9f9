// From a staged, complete listing to a sync plan and the decision whether it may be applied. Changes no user.

import type { DirectoryConfig } from "../config/config.ts";
import { isOlderState } from "../directory/server-state.ts";
import type { Database, Transaction } from "../store/database.ts";
import type { DirectoryMemory } from "./directories-table.ts";
import { decideHold } from "./limits.ts";
import { groupsMayDiffer, planGroupReasons, planMemberships } from "./plan-groups-table.ts";
import {
  countNamesUnderNewIds,
  countPlan,
  countStored,
  countUnlistedKept,
  digestPlan,
  type PlanRun,
  planChanges,
  planRemovals,
  skipNameClashes,
} from "./plan-table.ts";
import type { StagedListing } from "./stage-listing.ts";
import { dropDuplicates } from "./staging-table.ts";
import type { HoldCode, NoteCode, RunCounts, RunRemark } from "./sync-run.ts";

export interface Plan {
  counts: RunCounts;
  /** False spares a run that found nothing new the statements that write groups. */
  groupsDiffer: boolean;
  digest: string;
  /** Not empty: the run is held. */
  holdReasons: RunRemark<HoldCode>[];
  notes: RunRemark<NoteCode>[];
}

export interface PlanInput {
  run: PlanRun;
  directory: DirectoryConfig;
  listing: StagedListing;
  memory: DirectoryMemory;
  /** What a person has agreed to; the plan is held only for something else. */
  approvedHolds: HoldCode[];
}

/** Makes the plan in one transaction, so that a plan in the store is always a whole one. */
export async function makePlan(db: Database, input: PlanInput): Promise<Plan> {
  const { run, directory, listing, memory } = input;
  return db.transaction(async (trx) => {
    await dropDuplicates(trx, run);
    const stored = await countStored(trx, run);
    const sameServer =
      memory.serverIdentity === null ||
      (memory.serverIdentity === listing.server.identity &&
        !isOlderState(memory.serverState, listing.server.state));
    // Rule 4: absence in another server's copy proves nothing, since it may lag behind.
    if (sameServer) await planRemovals(trx, run);
    while ((await skipNameClashes(trx, run)) > 0);
    await planChanges(trx, run);
    const groupsDiffer = await groupsMayDiffer(trx, run);
    if (groupsDiffer) {
      await planMemberships(trx, run, directory.groups?.nested ?? false);
      await planGroupReasons(trx, run);
    }
    const counts = await countPlan(trx, run);
    const holdReasons = decideHold(
      {
        removals: counts.removed,
        active: stored.active,
        live: stored.live,
        listed: listing.entries + listing.skipped,
        namesUnderNewIds: await countNamesUnderNewIds(trx, run),
        groupsStored: directory.groups ? stored.groups : 0,
        groupsListed: directory.groups ? listing.groups : 0,
      },
      directory.limits,
    );
    return {
      counts: { listed: listing.entries + listing.skipped, unchanged: listing.unchanged, ...counts },
      groupsDiffer,
      digest: await digestPlan(trx, run),
      holdReasons: holdReasons.filter((reason) => !input.approvedHolds.includes(reason.code)),
      notes: await findNotes(trx, run, sameServer),
    };
  });
}

/** Tells of users that the listing does not name and the plan keeps all the same. */
async function findNotes(
  trx: Transaction,
  run: PlanRun,
  sameServer: boolean,
): Promise<RunRemark<NoteCode>[]> {
  if (sameServer && run.approves === null) return [];
  const kept = await countUnlistedKept(trx, run);
  if (kept === 0) return [];
  return sameServer
    ? [
        {
          code: "removals-beyond-approval",
          text: `${kept} more users are gone from the directory but were not in the approved plan; the next run will plan them.`,
        },
      ]
    : [
        {
          code: "another-server",
          text: `The listing came from another server than the last one, or from an older copy, so ${kept} users that it does not name are left to the next complete listing from the same server.`,
        },
      ];
}
