// A break that an admin has looked into and accepts, such as a restored backup: from then on daemons go on from the chain
// that is there. Under the chain's key, so nobody who can only write to the database can accept anything.

import type { Clock } from "../clock.ts";
import type { Database } from "../store/database.ts";
import { findAcceptanceDetails } from "./acceptances-table.ts";
import { type Actor, recordAuditEvent } from "./audit-events-table.ts";
import { type ChainPoint, type ChainProblem, lateAfterMs, macOf } from "./chain.ts";
import { findChainHead } from "./seals-table.ts";

export interface Acceptance {
  /** The end of the chain that was accepted. */
  head: ChainPoint;
  acceptedAt: Date;
}

/** Accepts the chain as it stands now, as an audit event. It makes no event right that was edited, removed or moved. */
export async function acceptAudit(
  deps: { db: Database; chainKey: Buffer; clock: Clock },
  input: { actor: Actor; reason: string },
): Promise<ChainPoint> {
  return deps.db.transaction(async (trx) => {
    const { position, chainMac } = await findChainHead(trx);
    const facts = {
      position,
      head: chainMac.toString("hex"),
      acceptedAt: deps.clock.now().toISOString(),
      reason: input.reason,
    };
    await recordAuditEvent(trx, {
      actor: input.actor,
      action: "audit-accept",
      outcome: "done",
      details: { ...facts, mac: macOfFacts(deps.chainKey, facts).toString("hex") },
    });
    return { position, chainMac };
  });
}

interface Facts {
  position: string;
  head: string;
  acceptedAt: string;
  reason: string;
}

function macOfFacts(chainKey: Buffer, { position, head, acceptedAt, reason }: Facts): Buffer {
  return macOf(chainKey, ["dirmfa accept v1", position, head, acceptedAt, reason]);
}

/** The acceptances that were made with the chain's key, newest first. */
export async function listAcceptances(deps: { db: Database; chainKey: Buffer }): Promise<Acceptance[]> {
  const stored = await findAcceptanceDetails(deps.db);
  return stored.flatMap((details) => {
    const facts = factsOf(details);
    if (facts === undefined || details.mac !== macOfFacts(deps.chainKey, facts).toString("hex")) return [];
    const head = { position: facts.position, chainMac: Buffer.from(facts.head, "hex") };
    return [{ head, acceptedAt: new Date(facts.acceptedAt) }];
  });
}

function factsOf({
  position,
  head,
  acceptedAt,
  reason,
}: Readonly<Record<string, unknown>>): Facts | undefined {
  return typeof position === "string" &&
    typeof head === "string" &&
    typeof acceptedAt === "string" &&
    typeof reason === "string"
    ? { position, head, acceptedAt, reason }
    : undefined;
}

/** True for a late or missing seal that was there when someone accepted, or that came with the sealing that went on then. */
export function isAccepted(problem: ChainProblem, acceptances: readonly Acceptance[]): boolean {
  if (problem.kind !== "late" && problem.kind !== "misdated") return false;
  const sealedMs = Date.parse(problem.sealedAt);
  const atMs = Date.parse(problem.at);
  return acceptances.some(({ head, acceptedAt }) => {
    if (BigInt(problem.position) <= BigInt(head.position)) return true;
    return atMs <= acceptedAt.getTime() && sealedMs <= acceptedAt.getTime() + lateAfterMs;
  });
}
