// Plans and applies what an incremental run has staged, in one transaction (rule 5): the clash rules, limits, policy and audit of a
// run, for the users that have changed. Removes nobody, and ends no membership: that is left to the next full run.

import { isDeepStrictEqual } from "node:util";
import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import type { DirectoryConfig } from "../config/config.ts";
import { AppError } from "../errors.ts";
import type { Database, Transaction } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import { type Lease, requireLease } from "../store/leases-table.ts";
import { prepareBulkWork } from "../store/settings-table.ts";
import { lockPolicyForReading, type PolicyInForce, rememberRequiredGroups } from "../users/policy-table.ts";
import { refreshRequirements } from "../users/requirements-table.ts";
import { applyUsers } from "./apply-plan.ts";
import { applyMemberships } from "./apply-table.ts";
import { getDirectoryMemory } from "./directories-table.ts";
import { findHoldsOfPart } from "./hold-part.ts";
import { sharePlan, shareSkips } from "./kept-rows-table.ts";
import type { Measured } from "./limits.ts";
import { newUserFlagOf } from "./make-plan.ts";
import { findMark, forgetAbsencesOfStaged, listPlanned, moveMark } from "./marks-table.ts";
import { measurePlan } from "./measures-table.ts";
import { skipIdClashes } from "./plan-clashes-table.ts";
import { planGroupReasons } from "./plan-groups-table.ts";
import { notesOfEnrollment, notesOfListing } from "./plan-notes.ts";
import { countToEnroll, planRequirementEnds } from "./plan-requirements-table.ts";
import {
  analyzePlan,
  countPlan,
  digestPlan,
  type PlanRun,
  planChanges,
  planDisablesOfSkipped,
  unstageFresher,
} from "./plan-table.ts";
import { noteRead, planJoins, unstageUnchanged } from "./refresh-user-table.ts";
import { skipNames } from "./skip-clashes.ts";
import type { StagedChanges } from "./stage-changes.ts";
import { requireStaged } from "./stage-listing.ts";
import { analyzeStaging, deleteStaging, dropDuplicates } from "./staging-table.ts";
import type { HoldCode, NoteCode, RunCounts, RunRemark } from "./sync-run.ts";
import { finishRun } from "./sync-runs-table.ts";

export interface ApplyChangesInput {
  run: PlanRun;
  directory: DirectoryConfig;
  changes: StagedChanges;
  lease: Lease;
  actor: Actor;
  dryRun: boolean;
}

interface ChangesPlan {
  counts: RunCounts;
  newUserFlag: boolean;
  digest: string;
  measured: Measured;
  holdReasons: RunRemark<HoldCode>[];
  notes: RunRemark<NoteCode>[];
}

// As in make-plan.ts: for more rows than this, collecting statistics is worth its cost.
const largePlan = 500;

/**
 * Ends the run: applied, held or dry. Throws AppError `lease-lost`, and changes nothing, when another replica has taken the directory
 * over, and `aborted` when a person has changed what is remembered of it.
 */
export async function applyChanges(db: Database, input: ApplyChangesInput): Promise<void> {
  const { run, changes, actor, dryRun } = input;
  await inTransaction(db, async (trx) => {
    await requireLease(trx, input.lease);
    await prepareBulkWork(trx);
    await requireStaged(trx, run, changes.staged);
    const policy = await lockPolicyForReading(trx);
    if (!policy) throw new Error("an incremental run without a policy in force");
    await requireRemembered(trx, input);
    const plan = await makeChangesPlan(trx, input, policy);
    const isHeld = plan.holdReasons.length > 0;
    if (!isHeld && !dryRun) await apply(trx, input, { plan, policy });
    await endRun(trx, input, { plan, isHeld });
    if (dryRun) return;
    const { counts, holdReasons: reasons, digest: planDigest } = plan;
    await recordAuditEvent(trx, {
      actor,
      action: isHeld ? "sync-hold" : "sync-run",
      directory: run.directory,
      outcome: isHeld ? "held" : "done",
      details: isHeld
        ? { runId: run.id, kind: "incremental", reasons, planDigest }
        : { runId: run.id, kind: "incremental", approves: null, ...counts, planDigest },
    });
  });
}

async function requireRemembered(trx: Transaction, { run, changes }: ApplyChangesInput): Promise<void> {
  const memory = await getDirectoryMemory(trx, run.directory);
  const since = await findMark(trx, run.directory);
  if (isDeepStrictEqual(memory, changes.memory) && isDeepStrictEqual(since, changes.since)) return;
  throw new AppError("aborted", "What is remembered of the directory was changed during the run.", {
    remedy: "The next run begins with what is remembered then.",
  });
}

async function makeChangesPlan(
  trx: Transaction,
  { run, directory, changes, dryRun }: ApplyChangesInput,
  policy: PolicyInForce,
): Promise<ChangesPlan> {
  const { report, staged, memory } = changes;
  const isLarge = staged.entries > largePlan;
  if (isLarge) await analyzeStaging(trx);
  await skipIdClashes(trx, run, { of: "users", moved: [] });
  await dropDuplicates(trx, run, "users");
  if (!dryRun) await forgetAbsencesOfStaged(trx, run);
  const fresher = await unstageFresher(trx, run);
  await skipNames(trx, run);
  const unchanged = fresher + (await unstageUnchanged(trx, run));
  // No group has changed since the last run, so that the stored lists of members tell who gets into which.
  await planJoins(trx, run, { found: [], nested: directory.groups?.nested ?? false });
  await planChanges(trx, run);
  await planDisablesOfSkipped(trx, run);
  if (isLarge) await analyzePlan(trx);
  await planGroupReasons(trx, run);
  await planRequirementEnds(trx, run);
  const counts: RunCounts = {
    listed: report.entries + report.skipped,
    unchanged,
    ...(await countPlan(trx, run)),
  };
  const measured = await measurePlan(trx, run);
  const newUserFlag = newUserFlagOf(policy, memory);
  const toEnroll = await countToEnroll(trx, run, newUserFlag);
  return {
    counts,
    newUserFlag,
    digest: await digestPlan(trx, run),
    measured,
    holdReasons: await findHoldsOfPart(trx, run, { directory, measured }),
    notes: [
      ...notesOfListing({ ...report, unchanged, staged, skippedGroups: 0 }),
      ...notesOfEnrollment(toEnroll, policy.graceMs),
    ],
  };
}

async function apply(
  trx: Transaction,
  { run, changes, actor }: ApplyChangesInput,
  { plan, policy }: { plan: ChangesPlan; policy: PolicyInForce },
): Promise<void> {
  const { added, changed, restored, disabled } = plan.counts;
  if (added + changed + restored + disabled > 0) {
    await applyUsers(trx, { run, plan: { ...plan, policy } });
    await applyMemberships(trx, run);
    await rememberRequiredGroups(trx);
    // The next full run looks at the memberships of users who were read outside of one.
    const readAt = { ids: await listPlanned(trx, run), time: changes.askedAt };
    const userIds = await noteRead(trx, run.directory, readAt);
    const scope = { condition: "u.id = any(:userIds::uuid[])", bindings: { userIds } };
    await refreshRequirements(trx, scope, { actor, cause: { by: "sync-run", runId: run.id } });
  }
  const { mark, server } = changes.report;
  await moveMark(trx, run.directory, { mark, state: server.state });
}

async function endRun(
  trx: Transaction,
  { run, changes, dryRun }: ApplyChangesInput,
  { plan, isHeld }: { plan: ChangesPlan; isHeld: boolean },
): Promise<void> {
  await deleteStaging(trx, run.id);
  const ended = await finishRun(trx, run.id, {
    status: isHeld ? "held" : "succeeded",
    server: changes.report.server,
    counts: plan.counts,
    holdReasons: plan.holdReasons,
    notes: plan.notes,
    planDigest: plan.digest,
    measured: isHeld || dryRun ? null : plan.measured,
  });
  if (!ended) throw new AppError("lease-lost", "Another process has declared this run abandoned.");
  const { added, changed, restored, disabled, skipped } = plan.counts;
  if ((isHeld || dryRun) && added + changed + restored + disabled > 0) await sharePlan(trx, run.id);
  if (skipped + changes.report.leftOut > 0) await shareSkips(trx, run.id);
}
