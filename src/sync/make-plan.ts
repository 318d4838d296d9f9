// From a staged, complete listing to a sync plan and the decision whether it may be applied. Changes no user.

import type { DirectoryConfig } from "../config/config.ts";
import { dnKeyOf } from "../ldap-text/dn.ts";
import type { Database, Transaction } from "../store/database.ts";
import { prepareBulkWork } from "../store/settings-table.ts";
import type { MfaPolicy } from "../users/policy.ts";
import { findPolicy, type PolicyInForce } from "../users/policy-table.ts";
import { type Answer, findQuestion, mostSharedAsked, movedTo, type Question } from "./ask-before-planning.ts";
import { decideNameClashes } from "./decide-name-clashes.ts";
import {
  type Copy,
  copyOf,
  type DirectoryMemory,
  getDirectoryMemory,
  type MembershipsAs,
} from "./directories-table.ts";
import { decideHold, isMeasured, type Measured, nothingMeasured, sumOfDay } from "./limits.ts";
import {
  countKnownElsewhere,
  countStoredUsers,
  listEarlierRuns,
  listEmptiedBases,
  measurePlan,
  noUsers,
} from "./measures-table.ts";
import {
  listContestedClaims,
  listSharedIds,
  skipIdClashes,
  skipNameClashes,
  unstageMoved,
  unstageSkippedMembers,
} from "./plan-clashes-table.ts";
import { groupsMayDiffer, planGroupReasons, planMemberships } from "./plan-groups-table.ts";
import { findNotes, notesOfAnswer, notesOfEnrollment, notesOfListing } from "./plan-notes.ts";
import { countToEnroll, findLostGroups, planRequirementEnds } from "./plan-requirements-table.ts";
import {
  analyzePlan,
  countPlan,
  countSkippedGroups,
  countStoredGroups,
  countUnchangedInPlan,
  digestPlan,
  type PlanRun,
  planChanges,
  planDisablesOfSkipped,
  planRemovals,
} from "./plan-table.ts";
import { requireStaged, type StagedListing } from "./stage-listing.ts";
import { analyzeStaging, countStaged, dropDuplicates, dropKnown, type StagedRows } from "./staging-table.ts";
import type { HoldCode, NoteCode, RunCounts, RunRemark } from "./sync-run.ts";

export interface Plan {
  counts: RunCounts;
  /** Entries of the listing that are not skipped. */
  usable: number;
  /** As it was when the plan was made; applying it presupposes that nothing of this has changed. */
  memory: DirectoryMemory;
  copy: Copy;
  /** In force when the plan was made; the same presupposition. */
  policy: PolicyInForce;
  /** Rule 12: whether users who are new in this run get the flag. */
  newUserFlag: boolean;
  membershipsAs: MembershipsAs | null;
  /** What is in the store now for the plan to be applied from. */
  staged: StagedRows;
  /** False spares a run that found nothing new the statements that write groups, or who is in them. */
  groupsDiffer: boolean;
  membershipsDiffer: boolean;
  digest: string;
  /** For the limits of the runs of a day. */
  measured: Measured;
  /** Not empty: the run is held. */
  holdReasons: RunRemark<HoldCode>[];
  notes: RunRemark<NoteCode>[];
}

export interface PlanInput {
  run: PlanRun;
  directory: DirectoryConfig;
  /** Names of the configured directories. */
  directories: readonly string[];
  listing: StagedListing;
  /** Which of these directory ids are in the directory now; see directory/ask-again.ts. */
  askAgain(ids: string[]): Promise<ReadonlyMap<string, string[]>>;
  /** What a person has agreed to. Of what is measured, they agreed to the users in the approved plan and to no others. */
  approvedHolds: RunRemark<HoldCode>[];
}

// Below this many staged rows every way to join them is fast, above it statistics pay for themselves.
const largePlan = 500;

/**
 * Makes the plan, in one transaction, so that a plan in the store is always a whole one. Before a plan removes users, and where
 * several entries have one directory id, the directory is asked for them once more, with no transaction open meanwhile.
 */
export async function makePlan(db: Database, input: PlanInput): Promise<Plan> {
  const first = await planOrAsk(db, input, undefined);
  if ("counts" in first) return first;
  const { removals, shared } = first;
  const there = await input.askAgain([...(removals ?? []), ...shared]);
  const found = removals?.filter((id) => there.has(id)) ?? [];
  const plan = await planOrAsk(db, input, {
    gone: removals?.filter((id) => !there.has(id)),
    found: found.length,
    moved: shared.flatMap((id) => movedTo(id, there.get(id))),
  });
  if (!("counts" in plan)) throw new Error("a plan asked twice");
  return plan;
}

async function planOrAsk(
  db: Database,
  input: PlanInput,
  answer: Answer | undefined,
): Promise<Plan | Question> {
  const { run, directory, listing } = input;
  const isLarge = listing.entries - listing.unchanged + listing.members > largePlan;
  return db.transaction(async (trx) => {
    await prepareBulkWork(trx);
    await requireStaged(trx, run, listing.staged);
    const memory = await getDirectoryMemory(trx, run.directory);
    const copy = copyOf(memory, listing.server);
    const policy = await findPolicy(trx);
    if (!policy) throw new Error("a plan without a policy in force");
    if (isLarge) await analyzeStaging(trx);
    const { confirmRemovals } = directory.limits;
    const removals =
      copy === "same" ? await planRemovals(trx, run, { confirmRemovals, gone: answer?.gone }) : 0;
    const shared = await listSharedIds(trx, run, mostSharedAsked);
    if (answer === undefined) {
      const question = await findQuestion(trx, run, { removals, shared });
      if (question !== undefined) return question;
    }
    const moved = answer?.moved ?? [];
    if (moved.length > 0) await unstageMoved(trx, run, moved);
    const skippedUnchanged = shared.length > 0 ? await skipIdClashes(trx, run, { of: "users", moved }) : 0;
    if (directory.groups !== undefined) {
      await skipIdClashes(trx, run, { of: "groups", moved: [] });
      await unstageSkippedMembers(trx, run);
    }
    await dropDuplicates(trx, run);
    const left = copy === "older" ? await dropKnown(trx, run) : 0;
    const losing = decideNameClashes(await listContestedClaims(trx, run));
    if (losing.length > 0) await skipNameClashes(trx, run, losing);
    await planChanges(trx, run);
    if (copy !== "older") await planDisablesOfSkipped(trx, run);
    if (isLarge) await analyzePlan(trx);
    const nested = directory.groups?.nested ?? false;
    const membershipsAs = nested ? "nested" : "direct";
    const membershipsDiffer =
      (copy !== "older" && memory.membershipsAs !== membershipsAs && directory.groups !== undefined) ||
      (await groupsMayDiffer(trx, run));
    if (membershipsDiffer) {
      await planMemberships(trx, run, { nested, changes: membershipChangesOf[copy] });
      await planGroupReasons(trx, run);
      if (policy.groupKeys.length > 0) await planRequirementEnds(trx, run);
    }
    const counts = await countPlan(trx, run);
    const newUserFlag = newUserFlagOf(policy, memory);
    const mayRequire = counts.added + counts.restored > 0 || membershipsDiffer;
    const listed = listing.entries + listing.skipped;
    const usable = listed - counts.skipped;
    const changedByGroups = counts.changed > 0 ? await countUnchangedInPlan(trx, run) : 0;
    const unchanged = listing.unchanged - skippedUnchanged - changedByGroups;
    const measured = await measurePlan(trx, run);
    const measuresAny = Object.values(measured).some((users) => users > 0);
    // Counting all users is slow, and a plan that does nothing measured, on a listing that has users, needs no measure.
    const stored = measuresAny || listed === 0 ? await countStoredUsers(trx, run) : noUsers;
    const holdReasons = decideHold(
      {
        measured,
        earlier: measuresAny ? sumOfDay(await listEarlierRuns(trx, run.directory)) : nothingMeasured(),
        stored,
        listed,
        usable,
        lostGroups: copy === "same" && policy.groupKeys.length > 0 ? await findLostGroups(trx, run) : [],
        emptiedBases: counts.removed > 0 ? await findEmptiedBases(trx, run, directory.users.bases) : [],
        // Once: whoever has agreed to the first import need not be asked about every new user.
        knownElsewhere:
          memory.firstImportedAt === null ? await countKnownElsewhere(trx, run, input.directories) : [],
        groupsStored: directory.groups ? await countStoredGroups(trx, run) : 0,
        groupsListed: directory.groups ? listing.groups : 0,
      },
      directory.limits,
    );
    return {
      counts: { listed, unchanged, ...counts },
      usable,
      memory,
      copy,
      staged: await countStaged(trx, run),
      groupsDiffer: membershipsDiffer && copy !== "older",
      membershipsDiffer,
      // Another server ends no membership, so that the next listing has to look again.
      membershipsAs: copy === "another" && membershipsDiffer ? null : membershipsAs,
      policy,
      newUserFlag,
      digest: await digestPlan(trx, run),
      measured,
      holdReasons: holdReasons.filter((hold) => !isApproved(hold, input.approvedHolds)),
      notes: [
        ...notesOfListing({ ...listing, skippedGroups: await countSkippedGroups(trx, run) }),
        ...notesOfAnswer(answer),
        ...(mayRequire ? notesOfEnrollment(await countToEnroll(trx, run, newUserFlag), policy.graceMs) : []),
        ...(await findNotes(trx, run, { copy, left, confirmRemovals })),
      ],
    };
  });
}

async function findEmptiedBases(trx: Transaction, run: PlanRun, bases: string[]) {
  const byKey = new Map(bases.map((base) => [dnKeyOf(base) ?? base, base]));
  const emptied = await listEmptiedBases(trx, run, [...byKey.keys()]);
  return emptied.map(({ key, removals }) => ({ base: byKey.get(key) ?? key, removals }));
}

const membershipChangesOf = { same: "all", another: "joins", older: "of-new-users" } as const;

/** Rule 12. */
function newUserFlagOf(policy: MfaPolicy, memory: DirectoryMemory): boolean {
  const initialImport = memory.firstImportedAt === null;
  return policy.newUsers && !(initialImport && policy.initialImport === "exempt");
}

/** Of a number, its users were approved; of a lost group, that group and no other. */
function isApproved(hold: RunRemark<HoldCode>, approved: RunRemark<HoldCode>[]): boolean {
  if (isMeasured(hold.code)) return false;
  return approved.some(
    ({ code, text }) => code === hold.code && (code !== "required-group-lost" || text === hold.text),
  );
}
