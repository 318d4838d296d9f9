// Applies a plan whole or not at all (rule 5): one transaction with the run's end and its audit event in it.

import { isDeepStrictEqual } from "node:util";
import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import { AppError } from "../errors.ts";
import type { Database, Transaction } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import { type Lease, requireLease } from "../store/leases-table.ts";
import { prepareBulkWork } from "../store/settings-table.ts";
import { lockPolicyForReading, rememberRequiredGroups } from "../users/policy-table.ts";
import { refreshRequirements } from "../users/requirements-table.ts";
import { countAbsences, forgetAbsences, forgetAbsencesOfListed } from "./absences-table.ts";
import {
  addToGroups,
  applyGroups,
  applyMemberships,
  disableSkippedUsers,
  insertUsers,
  lockRestored,
  removeUsers,
  replaceAliases,
  updateUsers,
  usersToRefresh,
  vacateUsernames,
} from "./apply-table.ts";
import { getDirectoryMemory, rememberListing, rememberOlderCopy } from "./directories-table.ts";
import { sharePlan, shareSkips } from "./kept-rows-table.ts";
import type { Plan } from "./make-plan.ts";
import { rememberMark } from "./marks-table.ts";
import { type PlanRun, settleRefreshed } from "./plan-table.ts";
import { requireStaged, type StagedListing } from "./stage-listing.ts";
import { deleteStaging } from "./staging-table.ts";
import { finishRun, type RunResult } from "./sync-runs-table.ts";

export interface ApplyInput {
  run: PlanRun;
  plan: Plan;
  listing: StagedListing;
  /** Of the directory's limits. */
  confirmRemovals: number;
  /** See `readingOf`. */
  reading: string;
  lease: Lease;
  actor: Actor;
}

/** Throws AppError `lease-lost`, and changes nothing, when another replica has taken the directory over (rule 9). */
export async function applyPlan(db: Database, input: ApplyInput): Promise<void> {
  const { run, plan } = input;
  await inTransaction(db, async (trx) => {
    await requireLease(trx, input.lease);
    await prepareBulkWork(trx);
    await requireStaged(trx, run, plan.staged);
    await requireMemory(trx, input);
    const { added, changed, restored, disabled, removed } = plan.counts;
    const usersDiffer = added + changed + restored + disabled + removed > 0;
    if (usersDiffer) await applyUsers(trx, input);
    if (plan.groupsDiffer) await (plan.copy === "same" ? applyGroups : addToGroups)(trx, run);
    if (plan.membershipsDiffer) await applyMemberships(trx, run);
    // Of new users only a group can require more than what their insert has fixed.
    if (restored > 0 || plan.membershipsDiffer) {
      const newlyRequired = await rememberRequiredGroups(trx);
      const cause = { by: "sync-run", runId: run.id };
      await refreshRequirements(trx, usersToRefresh(run, newlyRequired), { actor: input.actor, cause });
    }
    // What another copy leaves to be ended is ended by a later run.
    if (plan.copy === "same") await settleRefreshed(trx, run);
    if (plan.copy === "older") await rememberOlderCopy(trx, run.directory, plan);
    else {
      await rememberAbsences(trx, input);
      const { membershipsAs } = plan;
      await rememberListing(trx, run.directory, {
        ...input.listing,
        imported: plan.usable > 0,
        membershipsAs,
      });
      const { mark, server } = input.listing;
      const kept = { reading: input.reading, fullRun: run.id };
      await rememberMark(trx, run.directory, { mark, serverIdentity: server.identity, ...kept });
    }
    await endRun(trx, input, { status: "succeeded", measured: plan.measured });
    await recordAuditEvent(trx, {
      actor: input.actor,
      action: "sync-run",
      directory: run.directory,
      outcome: "done",
      details: { runId: run.id, approves: run.approves, ...plan.counts, planDigest: plan.digest },
    });
  });
}

/** What the plan was based on must still hold: a person may have changed it since. */
async function requireMemory(trx: Transaction, { run, plan }: ApplyInput): Promise<void> {
  if (!isDeepStrictEqual(await getDirectoryMemory(trx, run.directory), plan.memory)) {
    throw new AppError("aborted", "What is remembered of the directory was changed during the run.", {
      remedy: "The next run makes a new plan.",
    });
  }
  if (!isDeepStrictEqual(await lockPolicyForReading(trx), plan.policy)) {
    throw new AppError("aborted", "Another MFA policy came into force during the run.", {
      remedy: "The next run plans with it.",
    });
  }
}

/** Before staging is gone, and before the server of this listing is the remembered one. */
async function rememberAbsences(trx: Transaction, input: ApplyInput): Promise<void> {
  const { run, plan, confirmRemovals } = input;
  if (confirmRemovals === 1) await forgetAbsences(trx, run);
  else await countAbsences(trx, run, plan.copy !== "same");
}

/** The order matters: names are set free before anyone takes them, and users stand before their aliases. */
export async function applyUsers(
  trx: Transaction,
  { run, plan }: { run: PlanRun; plan: Pick<Plan, "counts" | "policy" | "newUserFlag"> },
): Promise<void> {
  const { added, changed, restored, disabled, removed } = plan.counts;
  if (restored > 0 && (await lockRestored(trx, run)) < restored) {
    throw new AppError("aborted", "A user that the plan restores was purged during the run.", {
      remedy: "The next run adds the user as a new one.",
    });
  }
  if (removed > 0) await removeUsers(trx, run);
  if (changed + restored + disabled > 0) {
    await vacateUsernames(trx, run);
    await updateUsers(trx, run);
  }
  if (disabled > 0) await disableSkippedUsers(trx, run);
  if (added > 0) await insertUsers(trx, run, { requiredNewUser: plan.newUserFlag, policy: plan.policy });
  await replaceAliases(trx, run);
}

/** Ends a held run: nothing is changed, and the hold is an audit event. A dry run leaves no event. */
export async function holdPlan(db: Database, input: ApplyInput, dryRun: boolean): Promise<void> {
  await inTransaction(db, async (trx) => {
    await requireLease(trx, input.lease);
    await requireStaged(trx, input.run, input.plan.staged);
    const counts = !dryRun && input.plan.copy !== "older" && input.confirmRemovals > 1;
    if (counts) await forgetAbsencesOfListed(trx, input.run);
    await endRun(trx, input, { status: "held", measured: null });
    if (dryRun) return;
    await recordAuditEvent(trx, {
      actor: input.actor,
      action: "sync-hold",
      directory: input.run.directory,
      outcome: "held",
      details: { runId: input.run.id, reasons: input.plan.holdReasons, planDigest: input.plan.digest },
    });
  });
}

/** Ends a dry run: the plan stays to be read, nothing else does (rule 10). */
export async function keepPlan(db: Database, input: ApplyInput): Promise<void> {
  await inTransaction(db, async (trx) => {
    await requireLease(trx, input.lease);
    await requireStaged(trx, input.run, input.plan.staged);
    await endRun(trx, input, { status: "succeeded", measured: null });
  });
}

async function endRun(
  trx: Transaction,
  input: ApplyInput,
  end: Pick<RunResult, "status" | "measured">,
): Promise<void> {
  const { run, plan, listing } = input;
  await deleteStaging(trx, run.id);
  const ended = await finishRun(trx, run.id, {
    ...end,
    server: listing.server,
    counts: plan.counts,
    holdReasons: plan.holdReasons,
    notes: plan.notes,
    planDigest: plan.digest,
  });
  if (!ended) throw new AppError("lease-lost", "Another process has declared this run abandoned.");
  // An applied plan is never shared with another run: the audit event names its digest.
  if (end.measured === null && plan.staged.changes > 0) await sharePlan(trx, run.id);
  if (plan.staged.skips > 0) await shareSkips(trx, run.id);
}
