// Rule 6: when a plan must not be applied before a person has looked at it. Pure.

import type { DirectoryLimits } from "../config/config.ts";
import type { HoldCode, RunRemark } from "./sync-run.ts";

export interface PlanFacts {
  /** Users that the plan removes. */
  removals: number;
  /** Active users stored for the directory before the run. */
  active: number;
  /** Users stored for the directory before the run that are not removed. */
  live: number;
  /** Entries in the listing, unusable ones included. */
  listed: number;
  /** Known usernames that the plan would give to new directory ids. */
  namesUnderNewIds: number;
  /** Stored groups of the directory before the run, and groups in the listing; both 0 when groups are not read. */
  groupsStored: number;
  groupsListed: number;
}

/** The reasons to hold the run; none means that the plan may be applied. */
export function decideHold(
  plan: PlanFacts,
  limits: Pick<DirectoryLimits, "removals">,
): RunRemark<HoldCode>[] {
  const { count, percent } = limits.removals;
  const passesLimit = (users: number) => users > count && users > (plan.active * percent) / 100;
  const holds: RunRemark<HoldCode>[] = [];
  if (plan.listed === 0 && plan.live > 0) {
    holds.push({
      code: "listing-empty",
      text: `The directory listed no users, but ${plan.live} are stored. Check the base, the filter and what the bind DN may read.`,
    });
  } else if (passesLimit(plan.removals)) {
    holds.push({
      code: "too-many-removals",
      text: `The plan removes ${plan.removals} of ${plan.active} active users; up to ${count}, or ${percent} %, are removed without approval.`,
    });
  }
  if (passesLimit(plan.namesUnderNewIds)) {
    holds.push({
      code: "names-under-new-ids",
      text: `${plan.namesUnderNewIds} known usernames came back under new directory ids, as after a restore that made new entries. Applied, they are new users without their authenticators.`,
    });
  }
  if (plan.groupsListed === 0 && plan.groupsStored > 0) {
    holds.push({
      code: "group-listing-empty",
      text: `The directory listed no groups, but ${plan.groupsStored} are stored. Applied, no group would require MFA any more.`,
    });
  }
  return holds;
}
