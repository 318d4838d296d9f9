// Reads the whole audit and its seals, and names every event that is not as it was when it was sealed, and every one whose
// seal is late or missing. Changes nothing.

import type { Clock } from "../clock.ts";
import type { Database } from "../store/database.ts";
import { isAccepted, listAcceptances } from "./acceptance.ts";
import { type Anchor, findAnchor, isTrueAnchor } from "./anchors-table.ts";
import {
  type ChainEnd,
  type ChainPoint,
  type ChainProblem,
  chainStart,
  checkSeals,
  lateAfterMs,
  type Mismatch,
  namedMismatches,
} from "./chain.ts";
import { followChain } from "./follow-chain.ts";
import { type KeptHead, type NotedHead, notedHeadOf } from "./noted-head.ts";
import {
  findChainHead,
  findChainMac,
  listMissingIds,
  listSealedEvents,
  listUnsealedEvents,
  type UnsealedEvent,
} from "./seals-table.ts";

export interface AuditVerification {
  /** Seals that were read. */
  sealed: number;
  /** Events that wait for their seal, up to a thousand: some seconds' worth on a busy service. */
  waiting: number;
  /** The first thousand. */
  problems: ChainProblem[];
  /** Late seals that an admin has accepted (`dirmfa audit accept`). */
  accepted: number;
  /**
   * Ids that no event has, the first hundred ranges: of transactions that were rolled back, or of events that were deleted
   * before they were sealed. Nobody can tell the two apart.
   */
  gaps: { firstId: string; lastId: string }[];
  /** Up to which position retention has cut the chain off; null when it never did. */
  cutUpTo: string | null;
  head: NotedHead;
  /** Whether the chain still holds the head that was noted; null where none was given. */
  knownHeadFound: boolean | null;
  /** Whether it goes on from the head that this machine's daemon keeps; null where there is none. */
  keptHeadFound: boolean | null;
}

export interface VerifyInput {
  /** A head that somebody noted. */
  knownHead?: NotedHead | undefined;
  /** The head of this machine's daemon. */
  keptHead?: KeptHead | undefined;
  onProgress?(sealed: number): void;
}

// A megabyte at a time, whatever the size of the audit.
const batchSize = 2_000;
// More than anyone reads; a chain that was written again elsewhere differs in every place.
const problemLimit = 1_000;
const gapLimit = 100;

/**
 * The state of one moment. An empty `problems` shows that the sealed events are as they were, but for an end that was cut
 * off together with its seals: that shows only against a head that was kept elsewhere (`knownHead`, `keptHead`).
 */
export async function verifyAuditChain(
  deps: { db: Database; chainKey: Buffer; clock: Clock },
  input: VerifyInput = {},
): Promise<AuditVerification> {
  return deps.db.transaction(
    async (snapshot) => {
      const { chainKey } = deps;
      const here = { db: snapshot, chainKey };
      const anchor = await findAnchor(snapshot);
      const read = await readChain(here, anchor, input.onProgress);
      const unsealed = await listUnsealedEvents(snapshot, problemLimit);
      const gaps = await listMissingIds(snapshot, anchor?.highestEventId ?? "0", gapLimit);
      const kept = input.keptHead && (await followChain(here, input.keptHead));
      return {
        sealed: read.sealed,
        accepted: read.accepted,
        waiting: unsealed.filter(({ waiting }) => waiting).length,
        problems: [...read.problems, ...problemsOfUnsealed(unsealed, deps.clock.now())].slice(
          0,
          problemLimit,
        ),
        gaps: gaps.map(({ firstId, lastId }) => ({ firstId: String(firstId), lastId: String(lastId) })),
        cutUpTo: anchor?.position ?? null,
        head: notedHeadOf(await findChainHead(snapshot)),
        knownHeadFound: input.knownHead ? await isInChain(snapshot, anchor, input.knownHead) : null,
        keptHeadFound: kept ? !(kept.outcome === "broken" && kept.broken.kind === "head-missing") : null,
      };
    },
    { isolationLevel: "repeatable read", readOnly: true },
  );
}

async function readChain(
  { db, chainKey }: { db: Database; chainKey: Buffer },
  anchor: Anchor | undefined,
  onProgress: ((sealed: number) => void) | undefined,
): Promise<{ sealed: number; accepted: number; problems: ChainProblem[] }> {
  const acceptances = await listAcceptances({ db, chainKey });
  const problems: ChainProblem[] = [];
  const mismatches: Mismatch[] = [];
  const begun = beginningOf(chainKey, anchor);
  problems.push(...begun.problems);
  let { end } = begun;
  let sealed = 0;
  let accepted = 0;
  for (;;) {
    const batch = await listSealedEvents(db, String(end.position), batchSize);
    if (batch.length === 0) break;
    const checked = checkSeals(chainKey, end, batch);
    end = checked.end;
    sealed += batch.length;
    const open = checked.problems.filter((problem) => !isAccepted(problem, acceptances));
    accepted += checked.problems.length - open.length;
    problems.push(...open.slice(0, problemLimit - problems.length));
    mismatches.push(...checked.mismatches.slice(0, problemLimit - mismatches.length));
    onProgress?.(sealed);
  }
  return { sealed, accepted, problems: [...namedMismatches(mismatches), ...problems] };
}

function beginningOf(
  chainKey: Buffer,
  anchor: Anchor | undefined,
): { end: ChainEnd; problems: ChainProblem[] } {
  const { position, chainMac }: ChainPoint = anchor ?? chainStart;
  if (!anchor || isTrueAnchor(chainKey, anchor)) {
    return { end: { position: BigInt(position), chainMac }, problems: [] };
  }
  const end = { position: BigInt(position), chainMac: undefined };
  return { end, problems: [{ kind: "forged-cut", position, eventId: null }] };
}

function problemsOfUnsealed(unsealed: readonly UnsealedEvent[], now: Date): ChainProblem[] {
  return unsealed.flatMap(({ id, at, waiting }): ChainProblem[] => {
    if (!waiting) return [{ kind: "inserted", position: null, eventId: id }];
    const waitedMs = now.getTime() - at.getTime();
    return waitedMs > lateAfterMs ? [{ kind: "unsealed", position: null, eventId: id }] : [];
  });
}

async function isInChain(db: Database, anchor: Anchor | undefined, head: NotedHead): Promise<boolean> {
  if (!/^\d{1,18}$/.test(head.position)) return false;
  // What was cut off cannot be compared any more; the anchor's MAC stands for it.
  if (anchor && BigInt(head.position) < BigInt(anchor.position)) return true;
  const { position, mac } = notedHeadOf(anchor ?? chainStart);
  if (head.position === position) return head.mac.toLowerCase() === mac;
  const found = await findChainMac(db, head.position);
  return found?.toString("hex") === head.mac.toLowerCase();
}
