// The hash chain over the audit events: what a seal is made of, and what a run of seals shows. Pure. Keyed, since whoever can
// write to the database could otherwise compute again (docs/decisions/0013-audit-chain.md).

import { createHmac, createSecretKey, type KeyObject } from "node:crypto";

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
  requestId: string | null;
}

export interface Seal {
  /** 1 for the first, without gaps; a bigint as text. */
  position: string;
  eventId: string;
  eventMac: Buffer;
  chainMac: Buffer;
  /** What the MACs are made over: 1, of earlier versions, is without the event's request and the time of sealing. */
  version: 1 | 2;
  /** As an event's `at`. By the clock of the process that sealed: the database's owner rules over that of the database. */
  sealedAt: string;
}

/** What the first seal follows. */
export const genesisMac: Buffer = Buffer.alloc(32);

/** Over everything but the id, so that two events that changed places are found as just that. */
export function eventMacOf(chainKey: ChainKey, event: SealableEvent, version: Seal["version"]): Buffer {
  const { at, actor, via, action, userId, directory, outcome, details, requestId } = event;
  const parts = [at, actor, via, action, userId, directory, outcome, details];
  if (version === 2) return macOf(chainKey, ["dirmfa event v2", ...parts, requestId]);
  // There were no requests then: one that is there now was put there later.
  return macOf(chainKey, ["dirmfa event v1", ...parts, ...(requestId === null ? [] : [requestId])]);
}

/** Binds the event's content to its id, to the time of sealing and to the seal before. */
export function chainMacOf(
  chainKey: ChainKey,
  previous: Buffer,
  seal: Omit<Seal, "chainMac" | "position">,
): Buffer {
  const { eventId, eventMac, version, sealedAt } = seal;
  const parts = [previous.toString("hex"), eventId, eventMac.toString("hex")];
  return macOf(
    chainKey,
    version === 2 ? ["dirmfa seal v2", ...parts, sealedAt] : ["dirmfa seal v1", ...parts],
  );
}

/** As an object where many MACs are made: of bytes, Node makes one for each, which takes longer than the MAC. */
type ChainKey = Buffer | KeyObject;

// JSON keeps the parts apart; nothing here has a number or a second spelling.
export function macOf(chainKey: ChainKey, parts: readonly (string | null)[]): Buffer {
  return createHmac("sha256", chainKey).update(JSON.stringify(parts)).digest();
}

/** A time as events and seals have it: with the microseconds that PostgreSQL keeps. */
export function chainTimeOf(time: Date): string {
  return time.toISOString().replace("Z", "000Z");
}

/** Seals events in the order given, after `head`. */
export function sealEvents(
  chainKey: Buffer,
  head: ChainPoint,
  events: readonly SealableEvent[],
  now: Date,
): Seal[] {
  const key = createSecretKey(chainKey);
  let position = BigInt(head.position);
  let previous = head.chainMac;
  const sealedAt = chainTimeOf(now);
  return events.map((event) => {
    position += 1n;
    const made = {
      eventId: event.id,
      eventMac: eventMacOf(key, event, 2),
      version: 2,
      sealedAt,
    } as const;
    previous = chainMacOf(key, previous, made);
    return { position: String(position), chainMac: previous, ...made };
  });
}

/** A place in the chain: position 0 is before the first seal. */
export interface ChainPoint {
  position: string;
  chainMac: Buffer;
}

export type ChainProblem =
  /** What the event says is not what was sealed. */
  | { kind: "edited"; position: string; eventId: string }
  /** The event is gone; `eventId` is null where its seal is gone as well. */
  | { kind: "removed"; position: string; eventId: string | null }
  /** The event, or its seal, is not where it was when it was sealed. */
  | { kind: "reordered"; position: string; eventId: string }
  /** The event was never sealed though later ones were, or has an id that dirmfa never gives out. */
  | { kind: "inserted"; position: string | null; eventId: string }
  /** It was sealed long after the time that it names, and could be changed or made up until then. */
  | { kind: "late"; position: string; eventId: string; at: string; sealedAt: string }
  /** It names a time after its seal. */
  | { kind: "misdated"; position: string; eventId: string; at: string; sealedAt: string }
  /** It has waited for its seal for too long. */
  | { kind: "unsealed"; position: null; eventId: string }
  /** The beginning was cut off by someone without the chain's key; the position is where the chain now begins. */
  | { kind: "forged-cut"; position: string; eventId: null };

/** Events that a daemon writes are sealed within seconds; this leaves time for a restart and for clocks that differ. */
export const lateAfterMs = 15 * 60_000;

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

export const chainStart: ChainPoint = { position: "0", chainMac: genesisMac };

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
  const key = createSecretKey(chainKey);
  let { position, chainMac: previous } = end;
  for (const { seal, event } of batch) {
    const { eventId } = seal;
    const missing = missingBefore(position, seal);
    problems.push(...missing);
    // What followed a removed seal cannot be linked to it.
    if (missing.length > 0) previous = undefined;
    position = BigInt(seal.position);
    const linked = !previous || chainMacOf(key, previous, seal).equals(seal.chainMac);
    if (!linked) problems.push({ kind: "reordered", position: seal.position, eventId });
    // Identity columns begin at 1.
    if (BigInt(eventId) < 1n) problems.push({ kind: "inserted", position: seal.position, eventId });
    if (!event) problems.push({ kind: "removed", position: seal.position, eventId });
    else {
      const actualMac = eventMacOf(key, event, seal.version);
      if (!actualMac.equals(seal.eventMac)) mismatches.push({ seal, actualMac });
      else problems.push(...untimely(seal, event));
    }
    previous = seal.chainMac;
  }
  return { problems, mismatches, end: { position, chainMac: previous } };
}

/** `late` or `misdated`, or nothing. */
export function untimely(seal: Seal, { at }: SealableEvent): ChainProblem[] {
  // The time of older seals is not under their MAC, and says nothing.
  if (seal.version === 1) return [];
  const lateMs = Date.parse(seal.sealedAt) - Date.parse(at);
  const found = { position: seal.position, eventId: seal.eventId, at, sealedAt: seal.sealedAt };
  if (lateMs > lateAfterMs) return [{ kind: "late", ...found }];
  return lateMs < -lateAfterMs ? [{ kind: "misdated", ...found }] : [];
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
