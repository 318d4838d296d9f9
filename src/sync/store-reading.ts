// Stores what a directory answered about one user (rule 26): the clash rules, limits, policy and audit of a run, for the entries
// that one name or id means, in one transaction. Adds or refreshes; removes nobody.

import { randomUUID } from "node:crypto";
import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import { systemClock } from "../clock.ts";
import type { DirectoryConfig } from "../config/config.ts";
import { packColumns, valuesOf } from "../directory/packed-columns.ts";
import type { UserReading } from "../directory/user-question.ts";
import type { Transaction } from "../store/database.ts";
import { lockPolicyForReading, type PolicyInForce, rememberRequiredGroups } from "../users/policy-table.ts";
import { refreshRequirements } from "../users/requirements-table.ts";
import { newUserIds } from "../users/user-ids.ts";
import { applyUsers } from "./apply-plan.ts";
import { applyMemberships } from "./apply-table.ts";
import { copyOf, type DirectoryMemory, getDirectoryMemory } from "./directories-table.ts";
import { findHoldsOfPart } from "./hold-part.ts";
import { dropKept } from "./kept-rows-table.ts";
import { newUserFlagOf } from "./make-plan.ts";
import { measurePlan } from "./measures-table.ts";
import { skipIdClashes } from "./plan-clashes-table.ts";
import { planGroupReasons } from "./plan-groups-table.ts";
import { planRequirementEnds } from "./plan-requirements-table.ts";
import { countPlan, digestPlan, type PlanRun, planChanges, planDisablesOfSkipped } from "./plan-table.ts";
import {
  listOwnSkips,
  noteRead,
  planJoins,
  unstageUnchanged,
  wereReadSince,
  withoutStored,
} from "./refresh-user-table.ts";
import { hasAppliedSince } from "./runs-and-readings-table.ts";
import { skipNames } from "./skip-clashes.ts";
import { deleteStaging, dropDuplicates, dropKnown, insertSkips, stageEntries } from "./staging-table.ts";
import type { RunCounts } from "./sync-run.ts";
import { finishRun, insertRun } from "./sync-runs-table.ts";

export interface Answered {
  reading: UserReading;
  /** By the database's clock, before the directory was asked. */
  askedAt: string;
}

export type StoredReading =
  /** The store has something new. `runId` is that of the row and the plan that tell it. */
  | { outcome: "changed"; runId: string; counts: RunCounts }
  | { outcome: "unchanged" }
  /** The entries cannot be used, or lose a clash; `reasons` are those of a run's skips. */
  | { outcome: "skipped"; reasons: string[] }
  /** A limit of the day is passed, or a required group is new: a run, and a person, come first. */
  | { outcome: "held"; reasons: string[] };

/**
 * Plans and applies the reading as a run would. `overtaken`, and nothing stored, when a run or another reading has changed these
 * users since `askedAt`. The caller keeps runs from planning until the transaction ends; `isBesideRun`: one of them lists now.
 */
export async function storeReading(
  trx: Transaction,
  { directory, actor }: { directory: DirectoryConfig; actor: Actor },
  { reading, askedAt, isBesideRun }: Answered & { isBesideRun: boolean },
): Promise<StoredReading | "overtaken"> {
  const run: PlanRun = { id: randomUUID(), directory: directory.name, approves: null, approvedPlan: null };
  const ids = valuesOf(reading.entries, "directoryIds");
  const readAt = { ids, time: askedAt };
  if (await hasAppliedSince(trx, directory.name, askedAt)) return "overtaken";
  if (await wereReadSince(trx, directory.name, readAt)) return "overtaken";
  const memory = await getDirectoryMemory(trx, directory.name);
  const policy = await lockPolicyForReading(trx);
  if (!policy) throw new Error("a user read without a policy in force");
  const unfound = await findUnfoundRequired(trx, directory.name, { reading, policy });
  if (unfound.length > 0)
    return { outcome: "held", reasons: unfound.map((name) => `required-group-new: ${name}`) };

  await stage(trx, run, reading);
  if (copyOf(memory, reading.server) === "older") await dropKnown(trx, run);
  await skipNames(trx, run);
  await planJoins(trx, run, { found: pairsOf(reading), nested: directory.groups?.nested ?? false });
  const unchanged = await unstageUnchanged(trx, run);
  await planChanges(trx, run);
  if (copyOf(memory, reading.server) !== "older") await planDisablesOfSkipped(trx, run);
  await planGroupReasons(trx, run);
  await planRequirementEnds(trx, run);
  const planned = await countPlan(trx, run);
  const { added, changed, restored, disabled } = planned;
  const counts = { listed: reading.entries.rows + reading.skipped.length, unchanged, ...planned };

  if (added + changed + restored + disabled === 0) {
    const skips = await listOwnSkips(trx, run);
    await drop(trx, run);
    // A run that lists beside this must not come back to what it may have read before.
    if (isBesideRun) await noteRead(trx, directory.name, readAt);
    return unchanged === 0 && skips.length > 0
      ? { outcome: "skipped", reasons: [...new Set(skips)] }
      : { outcome: "unchanged" };
  }
  const measured = await measurePlan(trx, run);
  const holds = await findHoldsOfPart(trx, run, { directory, measured });
  if (holds.length > 0) {
    await drop(trx, run);
    return { outcome: "held", reasons: holds.map(({ text }) => text) };
  }
  const digest = await digestPlan(trx, run);
  await apply(trx, run, { memory, policy, counts, actor, readAt });
  await deleteStaging(trx, run.id);
  await insertRun(trx, {
    id: run.id,
    directory: directory.name,
    kind: "one-user",
    trigger: "request",
    requestedBy: actor.name,
    dryRun: false,
    approves: null,
    fencingToken: "0",
    slot: null,
  });
  await finishRun(trx, run.id, {
    status: "succeeded",
    server: reading.server,
    counts,
    holdReasons: [],
    notes: [],
    planDigest: digest,
    measured,
  });
  await recordAuditEvent(trx, {
    actor,
    action: "user-refresh",
    directory: directory.name,
    outcome: "done",
    details: {
      runId: run.id,
      usernames: valuesOf(reading.entries, "usernames"),
      ...counts,
      planDigest: digest,
    },
  });
  return { outcome: "changed", runId: run.id, counts };
}

/** Groups that the policy names and that no run has stored yet: who is in one would count as not required until the next run. */
async function findUnfoundRequired(
  trx: Transaction,
  directory: string,
  { reading, policy }: { reading: UserReading; policy: PolicyInForce },
): Promise<string[]> {
  const required = reading.groups
    .flatMap(({ groups }) => groups)
    .filter(({ nameKey, dnKey }) =>
      [`name:${nameKey}`, `dn:${dnKey}`].some((key) => policy.groupKeys.includes(key)),
    );
  return (await withoutStored(trx, directory, required)).map(({ name }) => name);
}

async function stage(
  trx: Transaction,
  run: PlanRun,
  { entries, skipped, leftOut }: UserReading,
): Promise<void> {
  await insertSkips(trx, run, { of: "users", skipped: [...skipped, ...leftOut] });
  if (entries.rows === 0) return;
  const { columns: userIds } = packColumns({ userIds: newUserIds(systemClock.now(), entries.rows) });
  await stageEntries(trx, run, { rows: entries.rows, columns: { ...entries.columns, ...userIds } });
  await skipIdClashes(trx, run, { of: "users", moved: [] });
  await dropDuplicates(trx, run, "users");
}

function pairsOf({ groups }: UserReading): { directoryId: string; groupDirectoryId: string }[] {
  return groups.flatMap((user) =>
    user.groups.map((group) => ({ directoryId: user.directoryId, groupDirectoryId: group.directoryId })),
  );
}

async function apply(
  trx: Transaction,
  run: PlanRun,
  input: {
    memory: DirectoryMemory;
    policy: PolicyInForce;
    counts: RunCounts;
    actor: Actor;
    readAt: { ids: string[]; time: string };
  },
): Promise<void> {
  const { memory, policy, counts, actor, readAt } = input;
  await applyUsers(trx, { run, plan: { counts, policy, newUserFlag: newUserFlagOf(policy, memory) } });
  await applyMemberships(trx, run);
  await rememberRequiredGroups(trx);
  const userIds = await noteRead(trx, run.directory, readAt);
  const scope = { condition: "u.id = any(:userIds::uuid[])", bindings: { userIds } };
  await refreshRequirements(trx, scope, { actor, cause: { by: "user-refresh", runId: run.id } });
}

async function drop(trx: Transaction, run: PlanRun): Promise<void> {
  await deleteStaging(trx, run.id);
  await dropKept(trx, run.id);
}
