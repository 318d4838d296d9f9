// Reads the whole audit and its seals, and names every event that is not as it was when it was sealed. Changes nothing.

import type { Database } from "../store/database.ts";
import { type ChainProblem, chainStart, checkSeals, type Mismatch, namedMismatches } from "./chain.ts";
import type { NotedHead } from "./seal-audit-events.ts";
import { findChainHead, findChainMac, listSealedEvents, listUnsealedEvents } from "./seals-table.ts";

export interface AuditVerification {
  /** Seals that were read. */
  sealed: number;
  /** Events that wait for their seal, up to a thousand: some seconds' worth on a busy service. */
  waiting: number;
  /** The first thousand. */
  problems: ChainProblem[];
  head: NotedHead;
  /** Whether the chain still holds the head that was noted; null where none was given. */
  knownHeadFound: boolean | null;
}

// A megabyte at a time, whatever the size of the audit.
const batchSize = 2_000;
// More than anyone reads; a chain that was made anew elsewhere differs in every place.
const problemLimit = 1_000;

/**
 * The state of one moment. An empty `problems` shows that the sealed events are as they were, but for an end that was cut
 * off together with its seals: that shows only against a head that was noted elsewhere (`knownHead`).
 */
export async function verifyAuditChain(
  deps: { db: Database; chainKey: Buffer },
  input: { knownHead?: NotedHead; onProgress?(sealed: number): void } = {},
): Promise<AuditVerification> {
  return deps.db.transaction(
    async (snapshot) => {
      const read = await readChain(snapshot, deps.chainKey, input.onProgress);
      const unsealed = await listUnsealedEvents(snapshot, problemLimit);
      const inserted = unsealed.passed.map(
        (eventId) => ({ kind: "inserted", position: null, eventId }) as const,
      );
      const { position, chainMac } = await findChainHead(snapshot);
      return {
        sealed: read.sealed,
        waiting: unsealed.waiting,
        problems: [...read.problems, ...inserted].slice(0, problemLimit),
        head: { position, mac: chainMac.toString("hex") },
        knownHeadFound: input.knownHead ? await isInChain(snapshot, input.knownHead) : null,
      };
    },
    { isolationLevel: "repeatable read", readOnly: true },
  );
}

async function readChain(
  db: Database,
  chainKey: Buffer,
  onProgress: ((sealed: number) => void) | undefined,
): Promise<{ sealed: number; problems: ChainProblem[] }> {
  const problems: ChainProblem[] = [];
  const mismatches: Mismatch[] = [];
  let end = chainStart;
  let sealed = 0;
  for (;;) {
    const batch = await listSealedEvents(db, String(end.position), batchSize);
    if (batch.length === 0) break;
    const checked = checkSeals(chainKey, end, batch);
    end = checked.end;
    sealed += batch.length;
    problems.push(...checked.problems.slice(0, problemLimit - problems.length));
    mismatches.push(...checked.mismatches.slice(0, problemLimit - mismatches.length));
    onProgress?.(sealed);
  }
  return { sealed, problems: [...namedMismatches(mismatches), ...problems] };
}

async function isInChain(db: Database, head: NotedHead): Promise<boolean> {
  if (!/^\d{1,18}$/.test(head.position)) return false;
  const mac = await findChainMac(db, head.position);
  return mac?.toString("hex") === head.mac.toLowerCase();
}
