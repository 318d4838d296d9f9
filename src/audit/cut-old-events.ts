// Retention of the audit: cuts off the oldest sealed events and leaves an anchor from which the rest of the chain can be
// checked. Cuts nothing that is not as it was sealed, since that would destroy what shows it.

import type { Transaction } from "../store/database.ts";
import { acquireLease, type Lease, releaseLease, requireLease } from "../store/leases-table.ts";
import {
  type Anchor,
  anchorMacOf,
  cutEvents,
  findAnchor,
  findDatabaseNow,
  isTrueAnchor,
} from "./anchors-table.ts";
import { type Actor, recordAuditEvent } from "./audit-events-table.ts";
import {
  type ChainProblem,
  chainStart,
  chainTimeOf,
  checkSeals,
  namedMismatches,
  type SealedEvent,
} from "./chain.ts";
import { type SealAuditDeps, sealingLease } from "./seal-audit-events.ts";
import { listSealedEvents } from "./seals-table.ts";

// One transaction of some 100 ms; sealing waits for it.
const batchSize = 2_000;

// So that a daily handful of events makes one event about them, not one an hour.
const slackMs = 24 * 60 * 60 * 1000;

export type CutAnswer =
  | { outcome: "cut"; events: number }
  /** Another process seals or cuts at this moment. */
  | { outcome: "busy" }
  | { outcome: "refused"; problems: ChainProblem[] };

/** Cuts off the events older than `retentionMs`, once the oldest is older by a day. The last sealed event always stays. */
export async function cutOldEvents(
  deps: SealAuditDeps,
  input: { retentionMs: number; actor: Actor },
): Promise<CutAnswer> {
  // Of the two clocks the earlier one counts: a clock that was set far ahead must not delete the audit.
  const nowMs = Math.min(deps.clock.now().getTime(), (await findDatabaseNow(deps.db)).getTime());
  const before = new Date(nowMs - input.retentionMs);
  const [oldest] = await listSealedEvents(deps.db, chainStart.position, 1);
  // The time of a deleted event is not known: the cut itself finds that it is missing, and refuses.
  if (!oldest || (oldest.event && Date.parse(oldest.event.at) >= before.getTime() - slackMs)) {
    return { outcome: "cut", events: 0 };
  }
  const attempt = await acquireLease(deps.db, sealingLease(deps.holder));
  if (!attempt.won) return { outcome: "busy" };
  let events = 0;
  try {
    for (;;) {
      const cut = await deps.db.transaction((trx) =>
        cutBatch(trx, deps, attempt.lease, { before, actor: input.actor }),
      );
      if (cut.outcome !== "cut") return cut;
      events += cut.events;
      if (cut.events < batchSize) return { outcome: "cut", events };
    }
  } finally {
    await releaseLease(deps.db, attempt.lease);
  }
}

async function cutBatch(
  trx: Transaction,
  { chainKey, clock }: SealAuditDeps,
  lease: Lease,
  { before, actor }: { before: Date; actor: Actor },
): Promise<CutAnswer> {
  await requireLease(trx, lease);
  const anchor = await findAnchor(trx);
  if (anchor && !isTrueAnchor(chainKey, anchor)) {
    return {
      outcome: "refused",
      problems: [{ kind: "forged-cut", position: anchor.position, eventId: null }],
    };
  }
  const start = anchor ?? chainStart;
  // One more than is cut: the last seal stays.
  const read = await listSealedEvents(trx, start.position, batchSize + 1);
  const batch = oldOnes(read.slice(0, -1), before);
  const last = batch.at(-1);
  if (!last) return { outcome: "cut", events: 0 };
  const end = { position: BigInt(start.position), chainMac: start.chainMac };
  const checked = checkSeals(chainKey, end, batch);
  // Late or invented events may be cut off too: they were reported for as long as they were kept.
  const problems = [...checked.problems, ...namedMismatches(checked.mismatches)].filter(
    ({ kind }) => kind !== "late" && kind !== "misdated" && kind !== "inserted",
  );
  if (problems.length > 0) return { outcome: "refused", problems };
  return {
    outcome: "cut",
    events: await cutUpTo(trx, chainKey, { batch, last, anchor, now: clock.now(), before, actor }),
  };
}

/** The first ones, up to one that is not old or is gone. */
function oldOnes(batch: readonly SealedEvent[], before: Date): SealedEvent[] {
  const young = batch.findIndex(({ event }) => event && Date.parse(event.at) >= before.getTime());
  return young < 0 ? [...batch] : batch.slice(0, young);
}

async function cutUpTo(
  trx: Transaction,
  chainKey: Buffer,
  cut: {
    batch: SealedEvent[];
    last: SealedEvent;
    anchor: Anchor | undefined;
    now: Date;
    before: Date;
    actor: Actor;
  },
): Promise<number> {
  const ids = [...cut.batch.map(({ seal }) => BigInt(seal.eventId)), BigInt(cut.anchor?.highestEventId ?? 0)];
  const { position, chainMac } = cut.last.seal;
  const anchor = {
    position,
    chainMac,
    highestEventId: String(ids.reduce((highest, id) => (id > highest ? id : highest))),
    cutAt: chainTimeOf(cut.now),
  };
  const events = await cutEvents(trx, { ...anchor, mac: anchorMacOf(chainKey, anchor) });
  await recordAuditEvent(trx, {
    actor: cut.actor,
    action: "audit-cut",
    outcome: "done",
    details: { events, upToPosition: position, eventsBefore: cut.before.toISOString() },
  });
  return events;
}
