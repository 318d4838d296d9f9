// One user read on demand (rule 26): asks the directory, and has the answer stored (store-reading.ts) once no run plans or applies.
// Whatever the directory does not show, nobody is removed.

import type { Actor } from "../audit/audit-events-table.ts";
import type { DirectoryConfig } from "../config/config.ts";
import type { UserReader } from "../directory/read-user.ts";
import type { Database, Transaction } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import { acquireLease, releaseLease } from "../store/leases-table.ts";
import { usernameKeyOf } from "../username.ts";
import { getDirectoryMemory } from "./directories-table.ts";
import { leaseTtlMs, syncLeaseName } from "./keep-lease.ts";
import { listStoredIds, readDatabaseTime } from "./refresh-user-table.ts";
import { lockListingRun } from "./runs-and-readings-table.ts";
import { type Answered, type StoredReading, storeReading } from "./store-reading.ts";

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
  | StoredReading
  /** The directory shows no such user, which removes nobody. */
  | { outcome: "not-found" }
  /** The directory was never imported: a first import has other rules. */
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
    const refreshed = await storeWhenFree(deps, request, { reading, askedAt });
    if (refreshed !== "overtaken") return refreshed;
    if (tries === mostTries) return { outcome: "unchanged" };
  }
}

async function storeWhenFree(
  deps: RefreshDeps,
  request: RefreshRequest,
  answered: Answered,
): Promise<Refreshed | "overtaken"> {
  for (let clashes = 0; ; ) {
    request.signal.throwIfAborted();
    try {
      const stored = await inTransaction(deps.db, (trx) => storeUnlessBusy(trx, deps, request, answered));
      if (stored !== "busy") return stored;
    } catch (error) {
      // Another replica was storing the same user, or one of the same name: what it stored is there at the next try.
      clashes += 1;
      if (clashes === mostTries || !isUniqueViolation(error)) throw error;
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
  if (!attempt.won && !(await lockListingRun(trx, directory.name))) return "busy";
  const stored = await storeReading(trx, request, { ...answered, isBesideRun: !attempt.won });
  if (attempt.won) await releaseLease(trx, attempt.lease);
  return stored;
}
