// Pages of audit events that skip none. Ids are given out at the insert and show at the commit, so an event may appear below
// the last one of a page that was read: each page takes along the ids that it passed over, and the next looks there first.

import type { Database } from "../store/database.ts";
import { type AuditEvent, type AuditEventFilter, listAuditEvents } from "./audit-events-table.ts";
import type { Gap } from "./gaps.ts";
import { listOpenGaps } from "./seals-table.ts";

/** Where the next page begins. */
export interface AuditPlace {
  /** The highest id of all pages so far. */
  id: string;
  /** Ids up to there that may still get an event. */
  passedOver: readonly Gap[];
}

const limits = {
  // No transaction of dirmfa lasts that long after it has written its event.
  openMs: 10 * 60_000,
  // As many transactions as all replicas have connections; a cursor must fit into a URL. The latest are the likeliest.
  gaps: 40,
};

/** In the order of ids, but events that came late stand first. `next` is undefined after a page that is not full. */
export async function readAuditPage(
  db: Database,
  filter: Omit<AuditEventFilter, "after" | "within">,
  after: AuditPlace = { id: "0", passedOver: [] },
): Promise<{ events: AuditEvent[]; next: AuditPlace | undefined }> {
  return db.transaction(
    async (snapshot) => {
      const { limit } = filter;
      const late: AuditEvent[] = [];
      for (const within of after.passedOver) {
        if (late.length < limit)
          late.push(...(await listAuditEvents(snapshot, { ...filter, within, limit: limit - late.length })));
      }
      const rest = limit - late.length;
      const fresh =
        rest > 0 ? await listAuditEvents(snapshot, { ...filter, after: after.id, limit: rest }) : [];
      const events = [...late, ...fresh];
      if (events.length < limit) return { events, next: undefined };
      const id = fresh.at(-1)?.id ?? after.id;
      const reached = late.length === limit ? late.at(-1)?.id : undefined;
      const open = await listOpenGaps(snapshot, { upTo: id, noticedWithinMs: limits.openMs });
      const unread = reached === undefined ? [] : gapsAfter(after.passedOver, BigInt(reached));
      return { events, next: { id, passedOver: merged([...unread, ...open]).slice(-limits.gaps) } };
    },
    { isolationLevel: "repeatable read", readOnly: true },
  );
}

/** What of the gaps lies above an id. */
function gapsAfter(gaps: readonly Gap[], id: bigint): Gap[] {
  return gaps
    .filter(({ lastId }) => lastId > id)
    .map(({ firstId, lastId }) => ({ firstId: firstId > id ? firstId : id + 1n, lastId }));
}

/** In order, each id once. */
function merged(gaps: readonly Gap[]): Gap[] {
  const result: Gap[] = [];
  for (const gap of gaps.toSorted((a, b) => (a.firstId < b.firstId ? -1 : 1))) {
    const last = result.at(-1);
    if (last && gap.firstId <= last.lastId + 1n) {
      if (gap.lastId > last.lastId) result[result.length - 1] = { firstId: last.firstId, lastId: gap.lastId };
    } else result.push(gap);
  }
  return result;
}
