// Whether the chain in the database goes on from an end that was seen before. Reads only what was added since.

import type { Database } from "../store/database.ts";
import { type Acceptance, listAcceptances } from "./acceptance.ts";
import { findAnchor, isTrueAnchor } from "./anchors-table.ts";
import { type ChainPoint, type ChainProblem, chainStart, checkSeals, namedMismatches } from "./chain.ts";
import { chainPointOf, type KeptHead } from "./noted-head.ts";
import { findChainHead, findChainMac, listSealedEvents } from "./seals-table.ts";

export interface FollowDeps {
  db: Database;
  chainKey: Buffer;
}

/** Why the chain is not the one that was seen before. */
export type Break =
  /** The chain does not have the end that was seen: it was cut off, written again, or is another database's. */
  | { kind: "head-missing"; position: string }
  /** What was added since is not as a daemon adds it. */
  | { kind: "not-as-sealed"; problems: ChainProblem[] }
  /** The beginning was cut off without the chain's key. */
  | { kind: "forged-cut"; position: string };

export type Followed = { outcome: "intact"; head: ChainPoint } | { outcome: "broken"; broken: Break };

// A megabyte at a time, however long this process was away.
const batchSize = 2_000;

/** Without `kept`, nothing was ever seen here, and the present end is taken as true. */
export async function followChain(deps: FollowDeps, kept: KeptHead | undefined): Promise<Followed> {
  if (!kept) return followFrom(deps, pointOf(await findChainHead(deps.db)));
  const start = await startFrom(deps, chainPointOf(kept));
  const followed = "kind" in start ? broken(start) : await followFrom(deps, start);
  if (followed.outcome === "intact") return followed;
  for (const acceptance of await listAcceptances(deps)) {
    // An older one was accepted before this end was seen, and would hide what was cut off since.
    if (acceptance.acceptedAt <= kept.notedAt) continue;
    const accepted = await followAccepted(deps, acceptance);
    if (accepted?.outcome === "intact") return accepted;
  }
  return followed;
}

async function followAccepted(deps: FollowDeps, { head }: Acceptance): Promise<Followed | undefined> {
  const start = await startFrom(deps, head);
  return "kind" in start ? undefined : followFrom(deps, start);
}

function pointOf({ position, chainMac }: ChainPoint): ChainPoint {
  return { position, chainMac };
}

function broken(how: Break): Followed {
  return { outcome: "broken", broken: how };
}

/** The point to follow from; that of the anchor where the chain was cut off beyond `point`. */
async function startFrom({ db, chainKey }: FollowDeps, point: ChainPoint): Promise<ChainPoint | Break> {
  const anchor = await findAnchor(db);
  if (anchor && !isTrueAnchor(chainKey, anchor)) return { kind: "forged-cut", position: anchor.position };
  if (anchor && BigInt(point.position) < BigInt(anchor.position)) return pointOf(anchor);
  const mac = anchor?.position === point.position ? anchor.chainMac : await chainMacAt(db, point.position);
  return mac?.equals(point.chainMac) ? point : { kind: "head-missing", position: point.position };
}

async function chainMacAt(db: Database, position: string): Promise<Buffer | undefined> {
  return position === chainStart.position ? chainStart.chainMac : findChainMac(db, position);
}

/** Reads on from a point that is known to be in the chain. Late seals are no break: the verification tells of them. */
export async function followFrom({ db, chainKey }: FollowDeps, start: ChainPoint): Promise<Followed> {
  let end: ChainPoint = start;
  for (;;) {
    const batch = await listSealedEvents(db, end.position, batchSize);
    if (batch.length === 0) return { outcome: "intact", head: end };
    const checked = checkSeals(chainKey, { position: BigInt(end.position), chainMac: end.chainMac }, batch);
    const problems = [...namedMismatches(checked.mismatches), ...checked.problems].filter(
      ({ kind }) => kind !== "late" && kind !== "misdated",
    );
    const { position, chainMac } = checked.end;
    if (problems.length > 0 || !chainMac) return broken({ kind: "not-as-sealed", problems });
    end = { position: String(position), chainMac };
  }
}
