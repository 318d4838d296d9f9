// Seals the audit events that have been committed since the last time: soon after, off the hot path, by one process at a
// time. Never changes an event.

import type { Clock } from "../clock.ts";
import type { Database, Transaction } from "../store/database.ts";
import { acquireLease, type Lease, releaseLease, renewLease, requireLease } from "../store/leases-table.ts";
import {
  type ChainPoint,
  type ChainProblem,
  type Seal,
  type SealableEvent,
  sealEvents,
  untimely,
} from "./chain.ts";
import { type Break, followChain, followFrom } from "./follow-chain.ts";
import { gapsBetween, withoutIds } from "./gaps.ts";
import type { KeptHead } from "./noted-head.ts";
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
  clock: Clock;
}

const limits = {
  // One transaction of some 20 ms on a small server, and a batch of about 300 KB.
  batch: 500,
  // A batch takes far less; a dead process blocks the others for no longer than this.
  leaseMs: 30_000,
  // No transaction of dirmfa lasts for hours; an event that turns up in an older gap is reported by verifyAuditChain.
  gapMs: 24 * 60 * 60 * 1000,
};

export type SealAuditAnswer =
  /** `late`: what was sealed long after, or before, the time that it names. */
  | { outcome: "sealed"; events: number; head: ChainPoint; late: ChainProblem[] }
  /** Another process is sealing at this moment, which is as good. The chain is intact up to `head`. */
  | { outcome: "busy"; head: ChainPoint }
  /** Nothing was sealed: a seal over a break would cover it. */
  | { outcome: "broken"; broken: Break };

/**
 * Follows the chain from the end that this process kept, and seals what is there, to the end or until `signal`. Events are
 * sealed in the order of their ids; one whose transaction commits after later ones were sealed comes next, and none is
 * skipped.
 */
export async function sealAuditEvents(
  deps: SealAuditDeps,
  input: { kept?: KeptHead | undefined; signal?: AbortSignal } = {},
): Promise<SealAuditAnswer> {
  const followed = await followChain(deps, input.kept);
  if (followed.outcome === "broken") return followed;
  const attempt = await acquireLease(deps.db, sealingLease(deps.holder));
  if (!attempt.won) return { outcome: "busy", head: followed.head };
  let { head } = followed;
  let events = 0;
  const late: ChainProblem[] = [];
  try {
    for (;;) {
      const sealed = await deps.db.transaction((trx) => sealBatch(trx, deps, attempt.lease, head));
      if (sealed.outcome === "broken") return sealed;
      head = sealed.head;
      events += sealed.events;
      late.push(...sealed.late);
      if (sealed.events === 0 || input.signal?.aborted) break;
      if (!(await renewLease(deps.db, attempt.lease, limits.leaseMs))) break;
    }
    return { outcome: "sealed", events, head, late };
  } finally {
    await releaseLease(deps.db, attempt.lease);
  }
}

/** Held by whoever adds seals or cuts them off. */
export function sealingLease(holder: string) {
  return { name: "audit-sealing", holder, ttlMs: limits.leaseMs };
}

type SealedBatch = Extract<SealAuditAnswer, { outcome: "sealed" | "broken" }>;

/** Follows the chain once more: what was added since `head` was read may be anybody's, since the lease holds dirmfa alone. */
async function sealBatch(
  trx: Transaction,
  { chainKey, clock }: SealAuditDeps,
  lease: Lease,
  known: ChainPoint,
): Promise<SealedBatch> {
  await requireLease(trx, lease);
  const followed = await followFrom({ db: trx, chainKey }, known);
  if (followed.outcome === "broken") return followed;
  const head = await findChainHead(trx);
  if (head.position !== followed.head.position || !head.chainMac.equals(followed.head.chainMac)) {
    return { outcome: "broken", broken: { kind: "head-missing", position: known.position } };
  }
  const late = await listLateEvents(trx, limits.batch);
  const fresh = await listNewEvents(trx, head.highestEventId, limits.batch);
  const events = [...late, ...fresh];
  if (events.length === 0) return { outcome: "sealed", events: 0, head: followed.head, late: [] };
  const seals = sealEvents(chainKey, followed.head, events, clock.now());
  await insertSeals(trx, seals);
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
  const last = seals.at(-1) ?? followed.head;
  return {
    outcome: "sealed",
    events: events.length,
    head: { position: last.position, chainMac: last.chainMac },
    late: untimelyOf(seals, events),
  };
}

function untimelyOf(seals: readonly Seal[], events: SealableEvent[]): ChainProblem[] {
  return seals.flatMap((seal, index) => {
    const event = events[index];
    return event ? untimely(seal, event) : [];
  });
}

async function fillGaps(trx: Transaction, ids: readonly bigint[]): Promise<void> {
  for (const gap of await listGaps(trx)) {
    if (ids.some((id) => id >= gap.firstId && id <= gap.lastId))
      await replaceGap(trx, gap, withoutIds(gap, ids));
  }
}
