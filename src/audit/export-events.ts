// Audit events as CSV or JSON lines: all that fit, oldest first, read page by page so that any number fits, and none is skipped.

import { csvRecord } from "../csv.ts";
import type { Database } from "../store/database.ts";
import type { AuditEvent, AuditEventFilter } from "./audit-events-table.ts";
import { type AuditPlace, readAuditPage } from "./audit-pages.ts";

// Small enough to stay in memory while a slow reader takes it.
const pageSize = 500;

const header = [
  "id",
  "at",
  "actor",
  "via",
  "action",
  "userId",
  "directory",
  "outcome",
  "details",
  "requestId",
] as const;

export type ExportFilter = Pick<AuditEventFilter, "since" | "action" | "userId">;

export async function* auditEventsAsCsv(db: Database, filter: ExportFilter): AsyncGenerator<string> {
  yield csvRecord(header);
  for await (const events of pagesOfEvents(db, filter)) yield events.map(recordOf).join("");
}

/** The same as JSON lines. */
export async function* auditEventsAsLines(db: Database, filter: ExportFilter): AsyncGenerator<string> {
  for await (const events of pagesOfEvents(db, filter))
    yield events.map((event) => `${JSON.stringify(event)}\n`).join("");
}

async function* pagesOfEvents(db: Database, filter: ExportFilter): AsyncGenerator<AuditEvent[]> {
  let place: AuditPlace | undefined;
  do {
    const { events, next } = await readAuditPage(db, { ...filter, limit: pageSize }, place);
    if (events.length > 0) yield events;
    place = next;
  } while (place);
}

function recordOf(event: AuditEvent): string {
  return csvRecord([
    event.id,
    event.at,
    event.actor,
    event.via,
    event.action,
    event.userId,
    event.directory,
    event.outcome,
    JSON.stringify(event.details),
    event.requestId,
  ]);
}
