// Seals the audit events that have been committed since the last time: soon after, off the hot path, by one process at a
// time. Never changes an event.

import type { Database, Transaction } from "../store/database.ts";
import { acquireLease, type Lease, releaseLease, renewLease, requireLease } from "../store/leases-table.ts";
import { sealEvents } from "./chain.ts";
import { gapsBetween, withoutIds } from "./gaps.ts";
import {
  deleteOldGaps,
  findChainHead,
  insertGaps,
  insertSeals,
  listGaps,
  listLateEvents,
  listNewEvents,
  replaceGap,
} from "./seals-table.ts";

export interface SealAuditDeps {
  db: Database;
  /** From `openChainKey`. */
  chainKey: Buffer;
  /** Which process asks, for the lease. */
  holder: string;
}

const limits = {
  // One transaction of some 20 ms on a small server, and a batch of about 300 KB.
  batch: 500,
  // A batch takes far less; a dead process blocks the others for no longer than this.
  leaseMs: 30_000,
  // No transaction of dirmfa lasts for hours; an event that turns up in an older gap is reported by verifyAuditChain.
  gapMs: 24 * 60 * 60 * 1000,
};

/** The end of the chain: note it outside the database, and a cut-off end shows (verifyAuditChain). */
export interface NotedHead {
  position: string;
  /** Lower-case hex. */
  mac: string;
}

/** `busy`: another process is sealing at this moment, which is as good. */
export type SealAuditAnswer = { outcome: "sealed"; events: number; head: NotedHead } | { outcome: "busy" };

/**
 * Seals what is there, to the end or until `signal`. Events are sealed in the order of their ids; one whose transaction
 * commits after later ones were sealed comes next, and none is skipped.
 */
export async function sealAuditEvents(
  deps: SealAuditDeps,
  input: { signal?: AbortSignal } = {},
): Promise<SealAuditAnswer> {
  const attempt = await acquireLease(deps.db, {
    name: "audit-sealing",
    holder: deps.holder,
    ttlMs: limits.leaseMs,
  });
  if (!attempt.won) return { outcome: "busy" };
  try {
    let events = 0;
    for (;;) {
      const sealed = await deps.db.transaction((trx) => sealBatch(trx, deps.chainKey, attempt.lease));
      events += sealed;
      if (sealed === 0 || input.signal?.aborted) break;
      if (!(await renewLease(deps.db, attempt.lease, limits.leaseMs))) break;
    }
    const { position, chainMac } = await findChainHead(deps.db);
    return { outcome: "sealed", events, head: { position, mac: chainMac.toString("hex") } };
  } finally {
    await releaseLease(deps.db, attempt.lease);
  }
}

async function sealBatch(trx: Transaction, chainKey: Buffer, lease: Lease): Promise<number> {
  await requireLease(trx, lease);
  const head = await findChainHead(trx);
  const late = await listLateEvents(trx, limits.batch);
  const fresh = await listNewEvents(trx, head.highestEventId, limits.batch);
  const events = [...late, ...fresh];
  if (events.length === 0) return 0;
  await insertSeals(trx, sealEvents(chainKey, head, events));
  if (late.length > 0)
    await fillGaps(
      trx,
      late.map((event) => BigInt(event.id)),
    );
  const gaps = gapsBetween(
    BigInt(head.highestEventId),
    fresh.map((event) => BigInt(event.id)),
  );
  if (gaps.length > 0) await insertGaps(trx, gaps);
  await deleteOldGaps(trx, limits.gapMs);
  return events.length;
}

async function fillGaps(trx: Transaction, ids: readonly bigint[]): Promise<void> {
  for (const gap of await listGaps(trx)) {
    if (ids.some((id) => id >= gap.firstId && id <= gap.lastId))
      await replaceGap(trx, gap, withoutIds(gap, ids));
  }
}
