// The audit for admins and auditors: look, filter, export. Reads only.

import { type AuditAction, auditActions, listLatestAuditEvents } from "../audit/audit-events-table.ts";
import { type AuditPlace, readAuditPage } from "../audit/audit-pages.ts";
import type { Database } from "../store/database.ts";
import { findUserByName, listUsernames } from "../users/users-table.ts";
import { auditPage } from "./audit-pages.ts";
import type { ConsoleDeps } from "./deps.ts";
import { notFound } from "./refusal-pages.ts";
import type { Site } from "./site.ts";

const who = ["admin", "auditor"] as const;
const eventsShown = 50;
const eventsAtOnce = 500; // of the export

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
      exportPath: `/audit/events.jsonl?${new URLSearchParams(shown)}`,
    });
  });

  site.get("/audit/events.jsonl", who, async ({ query }) => {
    const { action, username } = filterOf(query);
    const userId = await userIdOf(db, username);
    const file =
      userId === "nobody"
        ? ""
        : eventLines(db, { ...(action ? { action } : {}), ...(userId ? { userId } : {}) });
    return { file, name: "audit.jsonl", type: "application/jsonl; charset=utf-8" };
  });
}

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

async function* eventLines(
  db: Database,
  filter: { action?: string; userId?: string },
): AsyncGenerator<string> {
  let place: AuditPlace | undefined;
  do {
    const { events, next } = await readAuditPage(db, { ...filter, limit: eventsAtOnce }, place);
    for (const event of events) yield `${JSON.stringify(event)}\n`;
    place = next;
  } while (place);
}
