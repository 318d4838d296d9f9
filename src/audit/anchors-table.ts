// Anchors: what is left of the beginning of the chain when old events were cut off. Only ever added, by the statement
// that cuts.

import type { Database, Transaction } from "../store/database.ts";
import { rawRows } from "../store/raw-rows.ts";
import { type ChainPoint, macOf } from "./chain.ts";

export interface Anchor extends ChainPoint {
  /** The highest id of the events that were cut off. */
  highestEventId: string;
  /** As an event's `at`. */
  cutAt: string;
  mac: Buffer;
}

/** What shows that a daemon cut here, and not somebody who can only write to the database. */
export function anchorMacOf(chainKey: Buffer, anchor: Omit<Anchor, "mac">): Buffer {
  const { position, chainMac, highestEventId, cutAt } = anchor;
  return macOf(chainKey, ["dirmfa anchor v1", position, chainMac.toString("hex"), highestEventId, cutAt]);
}

export function isTrueAnchor(chainKey: Buffer, anchor: Anchor): boolean {
  return anchorMacOf(chainKey, anchor).equals(anchor.mac);
}

/** Where the chain begins; undefined when nothing was ever cut off. */
export async function findAnchor(db: Database): Promise<Anchor | undefined> {
  const rows = await rawRows<{
    position: string;
    chain_mac: Buffer;
    highest: string;
    cut_at: string;
    mac: Buffer;
  }>(
    db,
    `select position, chain_mac, highest_event_id as highest, mac,
       to_char(cut_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as cut_at
     from audit_anchors order by position desc limit 1`,
  );
  return (
    rows[0] && {
      position: rows[0].position,
      chainMac: rows[0].chain_mac,
      highestEventId: rows[0].highest,
      cutAt: rows[0].cut_at,
      mac: rows[0].mac,
    }
  );
}

/**
 * Deletes the sealed events up to a position with their seals, and leaves the anchor; all in the database's own function,
 * which refuses anything else. Returns how many events went.
 */
export async function cutEvents(
  trx: Transaction,
  anchor: { position: string; cutAt: string; mac: Buffer },
): Promise<number> {
  const rows = await rawRows<{ cut: string }>(trx, "select cut_audit(:position, :cutAt, :mac) as cut", {
    ...anchor,
  });
  return Number(rows[0]?.cut ?? 0);
}

export async function findDatabaseNow(db: Database): Promise<Date> {
  const rows = await rawRows<{ now: Date }>(db, "select clock_timestamp() as now");
  if (!rows[0]) throw new Error("the database tells no time");
  return rows[0].now;
}
