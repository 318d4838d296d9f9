// Rule 6: when a plan must not be applied before a person has looked at it. Pure.

import type { Limit, LimitName } from "../config/config.ts";
import type { HoldCode, RunRemark } from "./sync-run.ts";

/** What a limit is a share of: the directory's users before the run. `required` are those of whom MFA is required. */
export type Share = "active" | "disabled" | "live" | "required";

interface Measure {
  limit: LimitName;
  /** The percentage is one of these; `live` are active and disabled. */
  of: Share;
  code: HoldCode;
  /** Said of the counted users, as in "the plan … 12 users". */
  does: string;
  /** What that means for them, where it is not plain. */
  meaning?: string;
}

/**
 * What is measured of every plan. What counts as one is said in measures-table.ts under the same name. A measure is taken
 * per run and over the last day.
 */
export const measures = {
  removals: { limit: "removals", of: "active", code: "too-many-removals", does: "removes" },
  // Disabled users are removed under the same limit, as a share of all: there may be many more of them.
  allRemovals: { limit: "removals", of: "live", code: "too-many-removals", does: "removes" },
  disables: { limit: "disables", of: "active", code: "too-many-disables", does: "disables" },
  enables: { limit: "enables", of: "disabled", code: "too-many-enables", does: "enables" },
  renames: { limit: "renames", of: "live", code: "too-many-renames", does: "gives other usernames to" },
  requirements: {
    limit: "requirements",
    of: "required",
    code: "too-many-requirement-ends",
    does: "ends the MFA requirement of",
    meaning: "Check that the bind DN may read the groups of mfa.requireForGroups and their members.",
  },
  newIds: {
    limit: "newIds",
    of: "live",
    code: "names-under-new-ids",
    does: "gives known usernames under new directory ids to",
    meaning:
      "As after a restore that made new entries: applied, they are new users without their authenticators. `dirmfa directory rekey` gives the known ones their new ids.",
  },
} as const satisfies Record<string, Measure>;

export type MeasureName = keyof typeof measures;
export type Measured = Record<MeasureName, number>;
// Object.keys does not know that the table has no other keys.
export const measureNames = Object.keys(measures) as MeasureName[];

/** `replaced`: it is gone, and the group in its place does not have all of its members. */
type LossOfGroup = "gone" | "empty" | "replaced";

/** A group for which MFA is required, or one in such a group. */
export interface LostGroup {
  name: string;
  dn: string;
  how: LossOfGroup;
  /** It is not required itself; it is in a group that is, at whatever depth. */
  isInner: boolean;
}

export interface PlanFacts {
  /** What the plan does; of an approved one, what goes beyond the approval. */
  measured: Measured;
  /** The same of the runs of the last day that nobody has approved. */
  earlier: Measured;
  /** Stored users of the directory before the run. */
  stored: Record<Share, number>;
  /** Entries in the listing, unusable ones included. */
  listed: number;
  /** Of these, those that are not skipped. */
  usable: number;
  /** Bases without any entry, whose users the plan removes. */
  emptiedBases: { base: string; removals: number }[];
  /** Of a first import: directories that are not configured any more, and how many users of the plan are stored under them. */
  knownElsewhere: { directory: string; users: number }[];
  lostGroups: LostGroup[];
  /** Stored groups of the directory before the run, and groups in the listing; both 0 when groups are not read. */
  groupsStored: number;
  groupsListed: number;
}

const losses: Record<LossOfGroup, { what: string; applied: string }> = {
  gone: { what: "is not in the listing any more", applied: "the group requires MFA of nobody" },
  empty: { what: "lists no members any more", applied: "the group requires MFA of nobody" },
  replaced: {
    what: "is not in the listing any more, and the group in its place does not have all of its members",
    applied: "MFA is not required any more of those whom it does not have",
  },
};

/** The reasons to hold the run; none means that the plan may be applied. */
export function decideHold(plan: PlanFacts, limits: Record<LimitName, Limit>): RunRemark<HoldCode>[] {
  const holds: RunRemark<HoldCode>[] = [];
  if (plan.listed === 0 && plan.stored.live > 0) {
    holds.push({
      code: "listing-empty",
      text: `The directory listed no users, but ${plan.stored.live} are stored. Check the base, the filter and what the bind DN may read.`,
    });
  } else if (plan.listed > 0 && plan.usable === 0) {
    holds.push({
      code: "listing-unusable",
      text: `The directory listed ${plan.listed} entries, of which none can be used; the run's skips say why. Check the attributes in the configuration and what the bind DN may read.`,
    });
  } else {
    for (const { base, removals } of plan.emptiedBases) {
      holds.push({
        code: "base-empty",
        text: `The base ${base} has no users any more, and the plan removes ${removals} who were there. Check that the bind DN may read it.`,
      });
    }
  }
  for (const name of measureNames) {
    const { code, limit } = measures[name];
    // That an empty listing removes everybody is not said twice.
    const isSaid = holds.some((hold) => hold.code === code || hold.code === "listing-empty");
    const text = isSaid ? undefined : textOfPassed(name, plan, limits[limit]);
    if (text !== undefined) holds.push({ code, text });
  }
  for (const { directory, users } of plan.knownElsewhere) {
    holds.push({
      code: "known-in-another-directory",
      text: `The plan adds ${users} users who are stored under ${directory}, which is not configured any more. If it was renamed, \`dirmfa directory rename ${directory} NEW\` keeps their authenticators; applied, they are new users without any.`,
    });
  }
  for (const group of plan.lostGroups) {
    holds.push({ code: "required-group-lost", text: textOfLostGroup(group) });
  }
  if (plan.groupsListed === 0 && plan.groupsStored > 0) {
    holds.push({
      code: "group-listing-empty",
      text: `The directory listed no groups, but ${plan.groupsStored} are stored. Applied, no group would require MFA any more.`,
    });
  }
  return holds;
}

/** The text of a hold for it. An approval names the group by this text. */
export function textOfLostGroup({ name, dn, how, isInner }: LostGroup): string {
  const which = isInner ? "which is in a group for which MFA is required" : "for which MFA is required";
  const applied = isInner
    ? "MFA is not required any more of those whom it brought there"
    : losses[how].applied;
  return `The group ${name} (${dn}), ${which}, ${losses[how].what}. Check that the bind DN may read the group and its members; applied, ${applied}.`;
}

/** Undefined unless both the count and the percentage are passed. A run is not held for what earlier runs did, if it adds nothing to it. */
function textOfPassed(name: MeasureName, plan: PlanFacts, limit: Limit): string | undefined {
  const measure: Measure = measures[name];
  const now = plan.measured[name];
  const earlier = plan.earlier[name];
  // Who was removed or disabled earlier was there when the day began.
  const all = plan.stored[measure.of] + earlier;
  const sum = now + earlier;
  if (now === 0 || sum <= limit.count || sum <= (all * limit.percent) / 100) return undefined;
  const which = measure.of === "live" ? "" : `${measure.of} `;
  const before = earlier > 0 ? `, after ${earlier} in the last 24 hours` : "";
  const share = `of ${all} ${which}users${before}`;
  const allowed = `up to ${limit.count}, or ${limit.percent} %, go without approval in 24 hours`;
  const text = `The plan ${measure.does} ${now} ${share}; ${allowed} (limits.${measure.limit}).`;
  return measure.meaning === undefined ? text : `${text} ${measure.meaning}`;
}

/** Whether a hold is for a number of users, so that approving it covers the users of the plan and no others. */
export function isMeasured(code: HoldCode): boolean {
  return measureNames.some((name) => measures[name].code === code);
}

export function nothingMeasured(): Measured {
  return { removals: 0, allRemovals: 0, disables: 0, enables: 0, renames: 0, requirements: 0, newIds: 0 };
}

/** A run of the last day: what it did, and what a person had agreed to before it. */
export interface EarlierRun {
  measured: Partial<Measured>;
  approvedHolds: HoldCode[];
}

/**
 * What the runs of the last day, oldest first, count for the next one. Where a person has approved a hold, its measure starts
 * from zero: they have looked at what went before.
 */
export function sumOfDay(runs: EarlierRun[]): Measured {
  const sum = nothingMeasured();
  for (const { measured, approvedHolds } of runs) {
    for (const name of measureNames) {
      if (approvedHolds.includes(measures[name].code)) sum[name] = 0;
      sum[name] += measured[name] ?? 0;
    }
  }
  return sum;
}
