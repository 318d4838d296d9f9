// The hash chain over the audit events: what a seal is made of, and what a run of seals shows. Pure. Keyed, since whoever can
// write to the database could otherwise chain anew (docs/decisions/0013-audit-chain.md).

import { createHmac } from "node:crypto";

/** An event as it is sealed: every column as the text that the database gives. */
export interface SealableEvent {
  id: string;
  /** ISO 8601 in UTC with microseconds. */
  at: string;
  actor: string;
  via: string;
  action: string;
  userId: string | null;
  directory: string | null;
  outcome: string;
  /** The text of the jsonb column, which is one text for equal values. */
  details: string;
}

export interface Seal {
  /** 1 for the first, without gaps; a bigint as text. */
  position: string;
  eventId: string;
  eventMac: Buffer;
  chainMac: Buffer;
}

/** What the first seal follows. */
export const genesisMac: Buffer = Buffer.alloc(32);

/** Over everything but the id, so that two events that changed places are found as just that. */
export function eventMacOf(chainKey: Buffer, event: SealableEvent): Buffer {
  const { at, actor, via, action, userId, directory, outcome, details } = event;
  return macOf(chainKey, ["dirmfa event v1", at, actor, via, action, userId, directory, outcome, details]);
}

/** Binds the event's content to its id and to the seal before. */
export function chainMacOf(chainKey: Buffer, previous: Buffer, eventId: string, eventMac: Buffer): Buffer {
  return macOf(chainKey, ["dirmfa seal v1", previous.toString("hex"), eventId, eventMac.toString("hex")]);
}

// JSON keeps the parts apart; nothing here has a number or a second spelling.
function macOf(chainKey: Buffer, parts: readonly (string | null)[]): Buffer {
  return createHmac("sha256", chainKey).update(JSON.stringify(parts)).digest();
}

/** Seals events in the order given, after `head`. */
export function sealEvents(
  chainKey: Buffer,
  head: { position: string; chainMac: Buffer },
  events: readonly SealableEvent[],
): Seal[] {
  let position = BigInt(head.position);
  let previous = head.chainMac;
  return events.map((event) => {
    position += 1n;
    const eventMac = eventMacOf(chainKey, event);
    previous = chainMacOf(chainKey, previous, event.id, eventMac);
    return { position: String(position), eventId: event.id, eventMac, chainMac: previous };
  });
}

export type ChainProblem =
  /** What the event says is not what was sealed. */
  | { kind: "edited"; position: string; eventId: string }
  /** The event is gone; `eventId` is null where its seal is gone as well. */
  | { kind: "removed"; position: string; eventId: string | null }
  /** The event, or its seal, is not where it was when it was sealed. */
  | { kind: "reordered"; position: string; eventId: string }
  /** The event was never sealed, though later ones were. */
  | { kind: "inserted"; position: null; eventId: string };

/** A seal with the event of its id, undefined where there is none. */
export interface SealedEvent {
  seal: Seal;
  event: SealableEvent | undefined;
}

/** What was read last; where the next batch goes on. */
export interface ChainEnd {
  position: bigint;
  chainMac: Buffer | undefined;
}

export const chainStart: ChainEnd = { position: 0n, chainMac: genesisMac };

/** A seal whose event says something else than was sealed. */
export interface Mismatch {
  seal: Seal;
  actualMac: Buffer;
}

/**
 * Judges a batch of seals in the order of positions. Each seal is compared with the stored one before it, so one change is
 * one finding and does not spoil all that follow. Mismatches are left to `namedMismatches`, which needs all of them.
 */
export function checkSeals(
  chainKey: Buffer,
  end: ChainEnd,
  batch: readonly SealedEvent[],
): { problems: ChainProblem[]; mismatches: Mismatch[]; end: ChainEnd } {
  const problems: ChainProblem[] = [];
  const mismatches: Mismatch[] = [];
  let { position, chainMac: previous } = end;
  for (const { seal, event } of batch) {
    const { eventId } = seal;
    const missing = missingBefore(position, seal);
    problems.push(...missing);
    // What followed a removed seal cannot be linked to it.
    if (missing.length > 0) previous = undefined;
    position = BigInt(seal.position);
    const linked = !previous || chainMacOf(chainKey, previous, eventId, seal.eventMac).equals(seal.chainMac);
    if (!linked) problems.push({ kind: "reordered", position: seal.position, eventId });
    if (!event) problems.push({ kind: "removed", position: seal.position, eventId });
    else {
      const actualMac = eventMacOf(chainKey, event);
      if (!actualMac.equals(seal.eventMac)) mismatches.push({ seal, actualMac });
    }
    previous = seal.chainMac;
  }
  return { problems, mismatches, end: { position, chainMac: previous } };
}

// Enough to see; a position far off must not fill the memory.
const missingLimit = 100n;

function missingBefore(position: bigint, seal: Seal): ChainProblem[] {
  const problems: ChainProblem[] = [];
  for (let gone = position + 1n; gone < BigInt(seal.position) && gone <= position + missingLimit; gone++) {
    problems.push({ kind: "removed", position: String(gone), eventId: null });
  }
  return problems;
}

/** An event whose content was sealed under another id that does not fit either has changed places; any other was edited. */
export function namedMismatches(mismatches: readonly Mismatch[]): ChainProblem[] {
  const sealed = new Set(mismatches.map(({ seal }) => seal.eventMac.toString("hex")));
  return mismatches.map(({ seal, actualMac }) => ({
    kind: sealed.has(actualMac.toString("hex")) ? "reordered" : "edited",
    position: seal.position,
    eventId: seal.eventId,
  }));
}
