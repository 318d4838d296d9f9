// From a staged, complete listing to a sync plan and the decision whether it may be applied. Changes no user.

import type { DirectoryConfig } from "../config/config.ts";
import type { Database, Transaction } from "../store/database.ts";
import { type DirectoryMemory, isSameServer } from "./directories-table.ts";
import { decideHold } from "./limits.ts";
import { groupsMayDiffer, planGroupReasons, planMemberships } from "./plan-groups-table.ts";
import {
  analyzePlan,
  countNamesUnderNewIds,
  countPlan,
  countStoredGroups,
  countStoredUsers,
  countUnlistedKept,
  digestPlan,
  type PlanRun,
  planChanges,
  planRemovals,
  skipNameClashes,
} from "./plan-table.ts";
import type { StagedListing } from "./stage-listing.ts";
import { analyzeStaging, dropDuplicates, prepareBulkWork } from "./staging-table.ts";
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

// Below this many staged rows every way to join them is fast, above it statistics pay for themselves.
const largePlan = 500;

/** Makes the plan in one transaction, so that a plan in the store is always a whole one. */
export async function makePlan(db: Database, input: PlanInput): Promise<Plan> {
  const { run, directory, listing, memory } = input;
  const isLarge = listing.entries - listing.unchanged + listing.members > largePlan;
  return db.transaction(async (trx) => {
    await prepareBulkWork(trx);
    if (isLarge) await analyzeStaging(trx);
    await dropDuplicates(trx, run);
    const sameServer = isSameServer(memory, listing.server);
    if (sameServer) await planRemovals(trx, run, directory.limits.confirmRemovals);
    while ((await skipNameClashes(trx, run)) > 0);
    await planChanges(trx, run);
    if (isLarge) await analyzePlan(trx);
    const groupsDiffer = await groupsMayDiffer(trx, run);
    if (groupsDiffer) {
      await planMemberships(trx, run, directory.groups?.nested ?? false);
      await planGroupReasons(trx, run);
    }
    const counts = await countPlan(trx, run);
    const listed = listing.entries + listing.skipped;
    // Counting all users is dear, and they are the measure of removals and of an empty listing alone.
    const measured = counts.removed > 0 || listed === 0;
    const stored = measured ? await countStoredUsers(trx, run) : { active: 0, live: 0 };
    const holdReasons = decideHold(
      {
        removals: counts.removed,
        ...stored,
        listed,
        namesUnderNewIds: counts.removed === 0 ? 0 : await countNamesUnderNewIds(trx, run),
        groupsStored: directory.groups ? await countStoredGroups(trx, run) : 0,
        groupsListed: directory.groups ? listing.groups : 0,
      },
      directory.limits,
    );
    return {
      counts: { listed, unchanged: listing.unchanged, ...counts },
      groupsDiffer,
      digest: await digestPlan(trx, run),
      holdReasons: holdReasons.filter((reason) => !input.approvedHolds.includes(reason.code)),
      notes: await findNotes(trx, run, { sameServer, confirmRemovals: directory.limits.confirmRemovals }),
    };
  });
}

/** Tells of users that the listing does not name and the plan keeps all the same. */
async function findNotes(
  trx: Transaction,
  run: PlanRun,
  { sameServer, confirmRemovals }: { sameServer: boolean; confirmRemovals: number },
): Promise<RunRemark<NoteCode>[]> {
  if (sameServer && run.approves === null && confirmRemovals === 1) return [];
  const kept = await countUnlistedKept(trx, run);
  if (kept === 0) return [];
  if (!sameServer) {
    return [
      {
        code: "another-server",
        text: `The listing came from another server than the last one, or from an older copy, so ${kept} users that it does not name are left to the next complete listing from the same server.`,
      },
    ];
  }
  if (run.approves === null) {
    return [
      {
        code: "removals-unconfirmed",
        text: `${kept} users are missing from the listing; they are removed when ${confirmRemovals} complete listings in a row do not name them.`,
      },
    ];
  }
  return [
    {
      code: "removals-beyond-approval",
      text: `${kept} more users are gone from the directory but were not in the approved plan; the next run will plan them.`,
    },
  ];
}
