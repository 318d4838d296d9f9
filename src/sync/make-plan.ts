// From a staged, complete listing to a sync plan and the decision whether it may be applied. Changes no user.

import type { DirectoryConfig } from "../config/config.ts";
import { mostAskedAgain } from "../directory/ask-again.ts";
import { dnKeyOf } from "../ldap-text/dn.ts";
import type { Database, Transaction } from "../store/database.ts";
import { prepareBulkWork } from "../store/settings-table.ts";
import type { MfaPolicy } from "../users/policy.ts";
import { findPolicy, type PolicyInForce } from "../users/policy-table.ts";
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
  type MovedEntry,
  skipIdClashes,
  skipNameClashes,
  unstageMoved,
  unstageSkippedMembers,
} from "./plan-clashes-table.ts";
import { groupsMayDiffer, planGroupReasons, planMemberships } from "./plan-groups-table.ts";
import {
  countToEnroll,
  findLostGroups,
  planRequirementEnds,
  type ToEnroll,
} from "./plan-requirements-table.ts";
import {
  analyzePlan,
  countPlan,
  countSkippedGroups,
  countStoredGroups,
  countUnchangedInPlan,
  countUnlistedKept,
  digestPlan,
  type PlanRun,
  planChanges,
  planDisablesOfSkipped,
  planRemovals,
  takeBackRemovals,
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

// Entries move one by one; more ids that are listed twice are clashes, which need no question.
const mostSharedAsked = 200;

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

/** What to ask the directory for again, by directory ids. */
interface Question {
  /** Undefined when too many are to be removed to ask for each. */
  removals: string[] | undefined;
  /** Ids that the listing names more than once. */
  shared: string[];
}

/** What the directory has said when it was asked again. */
interface Answer {
  /** Of those to be removed: who is gone (undefined where that was not asked), and how many are there. */
  gone: string[] | undefined;
  found: number;
  /** Where those are that were listed more than once, and are one entry. */
  moved: MovedEntry[];
}

function movedTo(directoryId: string, dns: string[] | undefined): MovedEntry[] {
  const [dn, ...more] = dns ?? [];
  if (dn === undefined || more.length > 0) return [];
  return [{ directoryId, dnKey: dnKeyOf(dn) ?? dn }];
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

/** Undefined when there is nothing to ask; otherwise the plan is empty again. */
async function findQuestion(
  trx: Transaction,
  run: PlanRun,
  { removals, shared }: { removals: number; shared: string[] },
): Promise<Question | undefined> {
  const asksForRemovals = removals <= mostAskedAgain;
  const asksForShared = shared.length <= mostSharedAsked;
  if (!(asksForRemovals && removals > 0) && !(asksForShared && shared.length > 0)) return undefined;
  const ids = await takeBackRemovals(trx, run);
  return { removals: asksForRemovals ? ids : undefined, shared: asksForShared ? shared : [] };
}

async function findEmptiedBases(trx: Transaction, run: PlanRun, bases: string[]) {
  const byKey = new Map(bases.map((base) => [dnKeyOf(base) ?? base, base]));
  const emptied = await listEmptiedBases(trx, run, [...byKey.keys()]);
  return emptied.map(({ key, removals }) => ({ base: byKey.get(key) ?? key, removals }));
}

function notesOfAnswer(answer: Answer | undefined): RunRemark<NoteCode>[] {
  if (answer === undefined || answer.found === 0) return [];
  return [
    {
      code: "moved-during-listing",
      text: `${answer.found} users were not in the listing, but are in the directory: they moved while it was listed, and stay as they are until the next run.`,
    },
  ];
}

/** Tells of what was listed, and did not count whole. */
function notesOfListing(listing: StagedListing & { skippedGroups: number }): RunRemark<NoteCode>[] {
  const { statesUnknown, leftOut, skippedGroups, references } = listing;
  const notes: RunRemark<NoteCode>[] = [];
  if (statesUnknown > 0) {
    notes.push({
      code: "states-unknown",
      text: `${statesUnknown} entries do not say whether they are disabled: users keep the state that they had, and new ones are disabled. Give the bind DN the right to read userAccountControl, or set users.disabled.`,
    });
  }
  if (leftOut > 0) {
    notes.push({
      code: "attributes-left-out",
      text: `${leftOut} entries have attributes that cannot be used, and count without them; the skips of the run name them.`,
    });
  }
  if (skippedGroups > 0) {
    notes.push({
      code: "groups-skipped",
      text: `${skippedGroups} groups cannot be used and stay as they are stored; the skips of the run name them.`,
    });
  }
  if (references.length > 0) {
    notes.push({
      code: "parts-elsewhere",
      text: `Parts of the directory are on other servers, and are not listed: ${references.join(", ")}.`,
    });
  }
  return notes;
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

/** Tells whom the plan stops at their next sign-in, and why. */
function notesOfEnrollment(toEnroll: ToEnroll, graceMs: number): RunRemark<NoteCode>[] {
  if (toEnroll.all === 0) return [];
  const reasons = [
    ["for the whole organization", toEnroll.organization],
    ["for the directory", toEnroll.directory],
    ["for new users", toEnroll.newUser],
    ["for a group", toEnroll.groups],
  ] as const;
  const why = reasons.flatMap(([reason, users]) => (users > 0 ? [`${reason} (${users})`] : [])).join(", ");
  const stopped = `${toEnroll.all} of them will be stopped at their next sign-in until they enroll`;
  const asked = `${toEnroll.all} of them will be asked to enroll at their next sign-in, and stopped there once mfa.enrollmentGrace is over`;
  return [{ code: "enrollment-required", text: `${graceMs > 0 ? asked : stopped}: MFA is required ${why}.` }];
}

/** Tells of users that the listing does not name and the plan keeps all the same. */
async function findNotes(
  trx: Transaction,
  run: PlanRun,
  { copy, left, confirmRemovals }: { copy: Copy; left: number; confirmRemovals: number },
): Promise<RunRemark<NoteCode>[]> {
  if (copy === "older") {
    return [
      {
        code: "older-copy",
        text: `The listing is of an older copy of the directory than the last one. It adds users who are new, and leaves ${left} users and groups that differ as they are until the server has caught up.`,
      },
    ];
  }
  if (copy === "same" && run.approves === null && confirmRemovals === 1) return [];
  const kept = await countUnlistedKept(trx, run);
  if (kept === 0) return [];
  if (copy === "another") {
    return [
      {
        code: "another-server",
        text: `The listing came from another server than the last one, so ${kept} users that it does not name are left to the next complete listing from the same server.`,
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
