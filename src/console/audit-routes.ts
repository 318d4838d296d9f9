// The audit for admins and auditors: look, filter, export. Reads only.

import { type AuditAction, auditActions, listLatestAuditEvents } from "../audit/audit-events-table.ts";
import { auditEventsAsCsv, auditEventsAsLines, type ExportFilter } from "../audit/export-events.ts";
import type { Database } from "../store/database.ts";
import { findUserByName, listUsernames } from "../users/users-table.ts";
import { auditPage } from "./audit-pages.ts";
import type { ConsoleDeps } from "./deps.ts";
import { notFound } from "./refusal-pages.ts";
import type { Site } from "./site.ts";

const who = ["admin", "auditor"] as const;
const eventsShown = 50;

export function addAuditRoutes(site: Site, deps: ConsoleDeps): void {
  const { db } = deps.verification;

  site.get("/audit", who, async ({ visit, query }) => {
    const filter = filterOf(query);
    const before = query.get("before") ?? undefined;
    if (before !== undefined && !/^\d{1,18}$/.test(before)) return notFound(visit);
    const userId = await userIdOf(db, filter.username);
    const events =
      userId === "nobody"
        ? []
        : await listLatestAuditEvents(db, { userId, action: filter.action, before, limit: eventsShown });
    const ids = [...new Set(events.flatMap((event) => event.userId ?? []))];
    const last = events.length === eventsShown ? events.at(-1) : undefined;
    const shown = { action: filter.action ?? "", username: filter.username };
    return auditPage(visit, {
      events,
      usernames: await listUsernames(db, ids),
      filter: shown,
      chain: await deps.measureAudit(),
      older: last && `/audit?${new URLSearchParams({ ...shown, before: last.id })}`,
      exportQuery: new URLSearchParams(shown).toString(),
    });
  });

  site.get("/audit/events.jsonl", who, async ({ query }) => ({
    file: await exported(query, auditEventsAsLines),
    name: "audit.jsonl",
    type: "application/jsonl; charset=utf-8",
  }));

  site.get("/audit/events.csv", who, async ({ query }) => ({
    file: await exported(query, auditEventsAsCsv),
    name: "audit.csv",
    type: "text/csv; charset=utf-8; header=present",
  }));

  async function exported(
    query: URLSearchParams,
    write: (db: Database, filter: ExportFilter) => AsyncGenerator<string>,
  ): Promise<AsyncIterable<string>> {
    const { action, username } = filterOf(query);
    const userId = await userIdOf(db, username);
    return write(db, {
      ...(action ? { action } : {}),
      // Nobody has this id.
      ...(userId ? { userId: userId === "nobody" ? nilId : userId } : {}),
    });
  }
}

const nilId = "00000000-0000-0000-0000-000000000000";

function filterOf(query: URLSearchParams): { action: AuditAction | undefined; username: string } {
  const action = auditActions.find((known) => known === query.get("action"));
  return { action, username: (query.get("username") ?? "").slice(0, 256).trim() };
}

/** Undefined for everybody. A name that lives in several directories is nobody's here. */
async function userIdOf(db: Database, username: string): Promise<string | "nobody" | undefined> {
  if (username === "") return undefined;
  const match = await findUserByName(db, { username });
  return match.kind === "user" ? match.user.id : "nobody";
}
