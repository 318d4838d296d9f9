// One user read on demand (rule 26): the mapping, clash rules, limits, policy and audit of a run, for the entries that one
// name or id means, in one transaction. Adds or refreshes; removes nobody, whatever the directory does not show.

import { randomUUID } from "node:crypto";
import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import { systemClock } from "../clock.ts";
import type { DirectoryConfig } from "../config/config.ts";
import { packColumns, valuesOf } from "../directory/packed-columns.ts";
import type { UserReader } from "../directory/read-user.ts";
import type { UserReading } from "../directory/user-question.ts";
import type { Database, Transaction } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import { acquireLease, type Lease, releaseLease } from "../store/leases-table.ts";
import { usernameKeyOf } from "../username.ts";
import { holdPolicy, type PolicyInForce, rememberRequiredGroups } from "../users/policy-table.ts";
import { refreshRequirements } from "../users/requirements-table.ts";
import { newUserIds } from "../users/user-ids.ts";
import { applyUsers } from "./apply-plan.ts";
import { applyMemberships } from "./apply-table.ts";
import { copyOf, type DirectoryMemory, getDirectoryMemory } from "./directories-table.ts";
import { leaseTtlMs, syncLeaseName } from "./keep-lease.ts";
import { dropKept } from "./kept-rows-table.ts";
import { decideHold, nothingMeasured, sumOfDay } from "./limits.ts";
import { newUserFlagOf } from "./make-plan.ts";
import { countStoredUsers, listEarlierRuns, measurePlan, noUsers } from "./measures-table.ts";
import { skipIdClashes } from "./plan-clashes-table.ts";
import { planGroupReasons } from "./plan-groups-table.ts";
import { planRequirementEnds } from "./plan-requirements-table.ts";
import { countPlan, digestPlan, type PlanRun, planChanges, planDisablesOfSkipped } from "./plan-table.ts";
import {
  listOwnSkips,
  listStoredIds,
  noteRead,
  planJoins,
  readDatabaseTime,
  unstageUnchanged,
  wereReadSince,
  withoutStored,
} from "./refresh-user-table.ts";
import { skipNames } from "./skip-clashes.ts";
import { deleteStaging, dropDuplicates, dropKnown, insertSkips, stageEntries } from "./staging-table.ts";
import type { RunCounts } from "./sync-run.ts";
import { finishRun, hasAppliedSince, holdListingRun, insertRun } from "./sync-runs-table.ts";

export interface RefreshDeps {
  db: Database;
  reader: UserReader;
  /** Names this process in leases. */
  holder: string;
}

export interface RefreshRequest {
  directory: DirectoryConfig;
  /** As typed; undefined where `ids` say who is meant. */
  name: string | undefined;
  /** Directory ids of stored users who are meant beside whoever has the name. */
  ids: readonly string[];
  actor: Actor;
  /** Aborted when nobody waits any more: then nothing is stored. */
  signal: AbortSignal;
}

export type Refreshed =
  /** The store has something new. `runId` is that of the row and the plan that tell it. */
  | { outcome: "changed"; runId: string; counts: RunCounts }
  | { outcome: "unchanged" }
  /** The directory shows no such user, which removes nobody. */
  | { outcome: "not-found" }
  /** The entries cannot be used, or lose a clash; `reasons` are those of a run's skips. */
  | { outcome: "skipped"; reasons: string[] }
  /** A limit of the day is passed, or a required group is new: a run, and a person, come first. */
  | { outcome: "held"; reasons: string[] }
  /** The directory was never imported: its first import has rules of its own. */
  | { outcome: "not-imported" };

// How often a run or another reading may come between the question and its storing before a run is left to it.
const mostTries = 3;
// A plan and its application take from milliseconds to minutes.
const busyWaitMs = 50;

/**
 * Asks and stores. Rejects as a listing does when the directory does not answer, groups included: of a user whose groups are
 * not known nobody can say that MFA is not required, so nothing is stored then. Waits, until `signal`, while a run plans or
 * applies.
 */
export async function refreshUser(deps: RefreshDeps, request: RefreshRequest): Promise<Refreshed> {
  const { db, reader } = deps;
  const { directory, name, signal } = request;
  for (let tries = 1; ; tries++) {
    const memory = await getDirectoryMemory(db, directory.name);
    if (memory.firstImportedAt === null) return { outcome: "not-imported" };
    const stored = name === undefined ? [] : await listStoredIds(db, directory.name, usernameKeyOf(name));
    const ids = [...new Set([...request.ids, ...stored])];
    const askedAt = await readDatabaseTime(db);
    const reading = await reader.read({ name, ids, rememberedKind: memory.kind ?? undefined }, signal);
    if (reading.entries.rows + reading.skipped.length === 0) return { outcome: "not-found" };
    const refreshed = await storeReading(deps, request, { reading, askedAt });
    if (refreshed !== "overtaken") return refreshed;
    if (tries === mostTries) return { outcome: "unchanged" };
  }
}

interface Answered {
  reading: UserReading;
  /** By the database's clock, before the directory was asked. */
  askedAt: string;
}

async function storeReading(
  deps: RefreshDeps,
  request: RefreshRequest,
  answered: Answered,
): Promise<Refreshed | "overtaken"> {
  for (let tries = 1; ; tries++) {
    request.signal.throwIfAborted();
    try {
      const stored = await inTransaction(deps.db, (trx) => storeUnlessBusy(trx, deps, request, answered));
      if (stored !== "busy") return stored;
    } catch (error) {
      // Another replica was storing the same user, or one of the same name: what it stored is there at the next try.
      if (tries === mostTries || !isUniqueViolation(error)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, busyWaitMs));
  }
}

function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "23505";
}

async function storeUnlessBusy(
  trx: Transaction,
  deps: RefreshDeps,
  request: RefreshRequest,
  answered: Answered,
): Promise<Refreshed | "overtaken" | "busy"> {
  const { directory } = request;
  const lease = { name: syncLeaseName(directory.name), holder: deps.holder, ttlMs: leaseTtlMs };
  const attempt = await acquireLease(trx, lease);
  // Beside a run that only lists, which leaves alone whom it finds refreshed. A run that plans or applies is waited for.
  if (!attempt.won && !(await holdListingRun(trx, directory.name))) return "busy";
  const stored = await store(trx, request, { ...answered, isBesideRun: !attempt.won });
  if (attempt.won) await releaseLease(trx, attempt.lease satisfies Lease);
  return stored;
}

async function store(
  trx: Transaction,
  request: RefreshRequest,
  { reading, askedAt, isBesideRun }: Answered & { isBesideRun: boolean },
): Promise<Refreshed | "overtaken"> {
  const { directory, actor } = request;
  const run: PlanRun = { id: randomUUID(), directory: directory.name, approves: null, approvedPlan: null };
  const ids = valuesOf(reading.entries, "directoryIds");
  const readAt = { ids, time: askedAt };
  if (await hasAppliedSince(trx, directory.name, askedAt)) return "overtaken";
  if (await wereReadSince(trx, directory.name, readAt)) return "overtaken";
  const memory = await getDirectoryMemory(trx, directory.name);
  const policy = await holdPolicy(trx);
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
  const holds = await findHolds(trx, run, { directory, measured });
  if (holds.length > 0) {
    await drop(trx, run);
    return { outcome: "held", reasons: holds };
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
  await dropDuplicates(trx, run);
}

function pairsOf({ groups }: UserReading): { directoryId: string; groupDirectoryId: string }[] {
  return groups.flatMap((user) =>
    user.groups.map((group) => ({ directoryId: user.directoryId, groupDirectoryId: group.directoryId })),
  );
}

/** The limits of a day count readings and runs together: a thousand sign-ins must not do what a run would be held for. */
async function findHolds(
  trx: Transaction,
  run: PlanRun,
  { directory, measured }: { directory: DirectoryConfig; measured: Awaited<ReturnType<typeof measurePlan>> },
): Promise<string[]> {
  const measuresAny = Object.values(measured).some((users) => users > 0);
  if (!measuresAny) return [];
  const facts = {
    measured,
    earlier: measuresAny ? sumOfDay(await listEarlierRuns(trx, run.directory)) : nothingMeasured(),
    stored: measuresAny ? await countStoredUsers(trx, run) : noUsers,
    listed: 1,
    usable: 1,
    lostGroups: [],
    emptiedBases: [],
    knownElsewhere: [],
    groupsStored: 0,
    groupsListed: 0,
  };
  return decideHold(facts, directory.limits).map(({ text }) => text);
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
