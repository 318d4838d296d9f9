// Measures a plan and finds the reasons to hold its run. What they are is decided in limits.ts.

import type { DirectoryConfig } from "../config/config.ts";
import { dnKeyOf } from "../ldap-text/dn.ts";
import type { Transaction } from "../store/database.ts";
import {
  decideHold,
  isMeasured,
  type LostGroup,
  type Measured,
  nothingMeasured,
  sumOfDay,
  textOfLostGroup,
} from "./limits.ts";
import {
  countKnownElsewhere,
  countStoredUsers,
  listEarlierRuns,
  listEmptiedBases,
  measurePlan,
  noUsers,
} from "./measures-table.ts";
import { findLostGroups } from "./plan-requirements-table.ts";
import { countStoredGroups, type PlanCounts, type PlanRun } from "./plan-table.ts";
import type { HoldCode, RunRemark } from "./sync-run.ts";

export interface MadePlan {
  run: PlanRun;
  directory: DirectoryConfig;
  /** Names of the configured directories. */
  directories: readonly string[];
  counts: PlanCounts;
  /** Entries in the listing, unusable ones included, and those that are not skipped. */
  listed: number;
  usable: number;
  groupsListed: number;
  /** True until a plan of this directory was applied. */
  isFirstImport: boolean;
  /** True when groups that require MFA can be missing from the listing, and the listing could tell. */
  mayLoseGroups: boolean;
  /** What a person has agreed to. Of what is measured, they agreed to the users in the approved plan and to no others. */
  approvedHolds: RunRemark<HoldCode>[];
}

/** What the plan counts for the limits of a day, and why its run is held; no reason means that it may be applied. */
export async function findHolds(
  trx: Transaction,
  made: MadePlan,
): Promise<{ measured: Measured; holdReasons: RunRemark<HoldCode>[] }> {
  const { run, directory, counts, listed, usable } = made;
  const measured = await measurePlan(trx, run);
  const measuresAny = Object.values(measured).some((users) => users > 0);
  // Counting all users is slow. A plan in which nothing is measured, on a listing that has users, does not need it.
  const stored = measuresAny || listed === 0 ? await countStoredUsers(trx, run) : noUsers;
  const nested = directory.groups?.nested ?? false;
  const lost = made.mayLoseGroups ? await findLostGroups(trx, run, { nested }) : [];
  const holds = decideHold(
    {
      measured,
      earlier: measuresAny ? sumOfDay(await listEarlierRuns(trx, run.directory)) : nothingMeasured(),
      stored,
      listed,
      usable,
      lostGroups: lost.filter((group) => !isLossApproved(group, made.approvedHolds, measured.requirements)),
      emptiedBases: counts.removed > 0 ? await findEmptiedBases(trx, run, directory.users.bases) : [],
      // Once: whoever has agreed to the first import need not be asked about every new user.
      knownElsewhere: made.isFirstImport ? await countKnownElsewhere(trx, run, made.directories) : [],
      groupsStored: directory.groups ? await countStoredGroups(trx, run) : 0,
      groupsListed: directory.groups ? made.groupsListed : 0,
    },
    directory.limits,
  );
  return { measured, holdReasons: holds.filter((hold) => !isApproved(hold, made.approvedHolds)) };
}

async function findEmptiedBases(trx: Transaction, run: PlanRun, bases: string[]) {
  const byKey = new Map(bases.map((base) => [dnKeyOf(base) ?? base, base]));
  const emptied = await listEmptiedBases(trx, run, [...byKey.keys()]);
  return emptied.map(({ key, removals }) => ({ base: byKey.get(key) ?? key, removals }));
}

/** A hold for a number of users is not approved as such: the approved plan names its users. A lost group: see `isLossApproved`. */
function isApproved(hold: RunRemark<HoldCode>, approved: RunRemark<HoldCode>[]): boolean {
  if (isMeasured(hold.code) || hold.code === "required-group-lost") return false;
  return approved.some(({ code }) => code === hold.code);
}

/**
 * Who agreed to the loss of a group agreed to the loss of that one and of no other. Where it is not lost to all of its members, they
 * agreed to the users in the approved plan: `endsBeyond` counts those who are not in it.
 */
function isLossApproved(group: LostGroup, approved: RunRemark<HoldCode>[], endsBeyond: number): boolean {
  if ((group.isInner || group.how === "replaced") && endsBeyond > 0) return false;
  return approved.some(({ text }) => text === textOfLostGroup(group));
}
