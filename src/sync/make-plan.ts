// From a staged, complete listing to a sync plan: what to do to each user, and whether it may be applied. Changes no user.

import type { DirectoryConfig } from "../config/config.ts";
import type { Database, Transaction } from "../store/database.ts";
import { prepareBulkWork } from "../store/settings-table.ts";
import type { MfaPolicy } from "../users/policy.ts";
import { findPolicy, type PolicyInForce } from "../users/policy-table.ts";
import {
  type Answer,
  askDirectory,
  findQuestion,
  mostSharedAsked,
  type Question,
} from "./ask-before-planning.ts";
import {
  type Copy,
  copyOf,
  type DirectoryMemory,
  getDirectoryMemory,
  type MembershipsAs,
} from "./directories-table.ts";
import { findHolds } from "./find-holds.ts";
import type { Measured } from "./limits.ts";
import { findDistinct, findRepeatedIds, notKnownDistinct } from "./plan-clashes-table.ts";
import { findConcernedUsers } from "./plan-edges-table.ts";
import { groupsMayDiffer, planGroupReasons, planMemberships } from "./plan-groups-table.ts";
import { findNotes, notesOfAnswer, notesOfEnrollment, notesOfListing } from "./plan-notes.ts";
import { countToEnroll, planRequirementEnds } from "./plan-requirements-table.ts";
import {
  analyzePlan,
  countPlan,
  countSkippedGroups,
  countUnchangedInPlan,
  digestPlan,
  type PlanRun,
  planChanges,
  planDisablesOfSkipped,
  planRemovals,
  unstageFresher,
} from "./plan-table.ts";
import { skipIds, skipNames } from "./skip-clashes.ts";
import { requireStaged, type StagedListing } from "./stage-listing.ts";
import { analyzeStaging, countStaged, dropKnown, type StagedRows } from "./staging-table.ts";
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

// Up to this many staged rows every way to join them is fast; for more, collecting statistics is worth its cost.
const largePlan = 500;

/**
 * Makes the plan in one transaction, so that a plan in the store is always a whole one. Before a plan removes users, and where
 * several entries have one directory id, the directory is asked for them once more, while no transaction is open.
 */
export async function makePlan(db: Database, input: PlanInput): Promise<Plan> {
  const first = await planOrAsk(db, input, undefined);
  if ("plan" in first) return first.plan;
  const answer = await askDirectory(first.question, input.askAgain);
  const second = await planOrAsk(db, input, answer);
  if (!("plan" in second)) throw new Error("a plan asked twice");
  return second.plan;
}

async function planOrAsk(
  db: Database,
  input: PlanInput,
  answer: Answer | undefined,
): Promise<{ plan: Plan } | { question: Question }> {
  const { run, directory, listing } = input;
  const { entries, groups, edges } = listing.staged;
  const isLarge = entries + groups + edges > largePlan;
  return db.transaction(async (trx) => {
    await prepareBulkWork(trx);
    await requireStaged(trx, run, listing.staged);
    if (isLarge) await analyzeStaging(trx);
    const memory = await getDirectoryMemory(trx, run.directory);
    const copy = copyOf(memory, listing.server);
    const policy = await findPolicy(trx);
    if (!policy) throw new Error("a plan without a policy in force");

    const { confirmRemovals } = directory.limits;
    const removals =
      copy === "same" ? await planRemovals(trx, run, { confirmRemovals, gone: answer?.gone }) : 0;
    const distinct = isLarge ? await findDistinct(trx, run) : notKnownDistinct;
    const repeated = await findRepeatedIds(trx, run, {
      most: mostSharedAsked,
      distinct: distinct.ids && listing.unchanged === 0,
    });
    if (answer === undefined) {
      const question = await findQuestion(trx, run, { removals, shared: repeated.shared });
      if (question !== undefined) return { question };
    }
    const readsGroups = directory.groups !== undefined;
    const skippedUnchanged = await skipIds(trx, run, { repeated, moved: answer?.moved ?? [], readsGroups });
    const fresher = await unstageFresher(trx, run);
    const left = copy === "older" ? await dropKnown(trx, run) : 0;
    await skipNames(trx, run, { distinct: distinct.names });
    await planChanges(trx, run);
    if (copy !== "older") await planDisablesOfSkipped(trx, run);
    if (isLarge) await analyzePlan(trx);
    const groups = await planGroups(trx, run, { directory, memory, copy });

    const counts = await countPlan(trx, run);
    if (counts.restored > 0 || (groups.membershipsDiffer && policy.groupKeys.length > 0))
      await planRequirementEnds(trx, run);
    const listed = listing.entries + listing.skipped;
    const usable = listed - counts.skipped;
    const changedByGroups = counts.changed > 0 ? await countUnchangedInPlan(trx, run) : 0;
    const unchanged = listing.unchanged - skippedUnchanged - changedByGroups + fresher;
    const newUserFlag = newUserFlagOf(policy, memory);
    const mayRequire = counts.added + counts.restored > 0 || groups.membershipsDiffer;
    const { measured, holdReasons } = await findHolds(trx, {
      ...input,
      counts,
      listed,
      usable,
      groupsListed: listing.groups,
      isFirstImport: memory.firstImportedAt === null,
      mayLoseGroups: copy === "same" && policy.groupKeys.length > 0,
    });
    const plan: Plan = {
      counts: { listed, unchanged, ...counts },
      usable,
      memory,
      copy,
      policy,
      newUserFlag,
      ...groups,
      staged: await countStaged(trx, run),
      digest: await digestPlan(trx, run),
      measured,
      holdReasons,
      notes: [
        ...notesOfListing({ ...listing, skippedGroups: await countSkippedGroups(trx, run) }),
        ...notesOfAnswer(answer),
        ...(mayRequire ? notesOfEnrollment(await countToEnroll(trx, run, newUserFlag), policy.graceMs) : []),
        ...(await findNotes(trx, run, { copy, left, confirmRemovals })),
      ],
    };
    return { plan };
  });
}

// Above it, a look at every user takes no longer than one at each of these, whose ids are bound as a parameter.
const mostConcerned = 50_000;

const membershipChangesOf = { same: "all", another: "joins", older: "of-new-users" } as const;

async function planGroups(
  trx: Transaction,
  run: PlanRun,
  known: { directory: DirectoryConfig; memory: DirectoryMemory; copy: Copy },
): Promise<Pick<Plan, "groupsDiffer" | "membershipsDiffer" | "membershipsAs">> {
  const { memory, copy } = known;
  const { groups } = known.directory;
  const nested = groups?.nested ?? false;
  const membershipsAs = nested ? "nested" : "direct";
  const readOtherwise = copy !== "older" && memory.membershipsAs !== membershipsAs && groups !== undefined;
  const membershipsDiffer = readOtherwise || (await groupsMayDiffer(trx, run));
  let endsLeft = copy === "another" && membershipsDiffer;
  if (membershipsDiffer) {
    const followsStored = copy === "same" && memory.membershipsAs === membershipsAs;
    const only = followsStored
      ? await findConcernedUsers(trx, run, { nested, most: mostConcerned })
      : undefined;
    const planned = await planMemberships(trx, run, { nested, changes: membershipChangesOf[copy], only });
    endsLeft ||= planned.endsLeft;
    await planGroupReasons(trx, run);
  }
  return {
    groupsDiffer: membershipsDiffer && copy !== "older",
    membershipsDiffer,
    // What this listing was not sufficient to end, the next one has to look at again.
    membershipsAs: endsLeft ? null : membershipsAs,
  };
}

/** Rule 12. */
export function newUserFlagOf(policy: MfaPolicy, memory: DirectoryMemory): boolean {
  const initialImport = memory.firstImportedAt === null;
  return policy.newUsers && !(initialImport && policy.initialImport === "exempt");
}
