// Audit events, for everybody or of one user: read only.

import { type AuditEvent, type AuditEventFilter, listAuditEvents } from "../../audit/audit-events-table.ts";
import type { Database } from "../../store/database.ts";
import { findUser } from "../../users/users-table.ts";
import type { App } from "../app-type.ts";
import { nextCursorOf, parseCursor } from "../cursor.ts";
import { ProblemAnswer } from "../problems.ts";
import { IdParams, pageLimit } from "../schemas.ts";
import { AuditEventPage, AuditEventsQuery, UserEventsQuery } from "./admin-schemas.ts";

export function addAdminAuditRoutes(app: App, deps: { db: Database }): void {
  app.get(
    "/v1/admin/audit-events",
    {
      schema: {
        tags: ["admin"],
        summary: "Audit events",
        querystring: AuditEventsQuery,
        response: { 200: AuditEventPage },
      },
      config: { scope: ["admin", "audit"] },
    },
    async ({ query }) =>
      listPage(deps.db, query, {
        ...(query.since === undefined ? {} : { since: timeOf(query.since) }),
        ...(query.action === undefined ? {} : { action: query.action }),
        ...(query.user === undefined ? {} : { userId: query.user }),
      }),
  );

  app.get(
    "/v1/admin/users/:id/events",
    {
      schema: {
        tags: ["admin"],
        summary: "The audit events of a user",
        params: IdParams,
        querystring: UserEventsQuery,
        response: { 200: AuditEventPage },
      },
      config: { scope: ["admin", "help-desk", "audit"], problems: ["user-unknown"] },
    },
    async ({ params, query }) => {
      const page = await listPage(deps.db, query, { userId: params.id });
      // A purged user is gone, but their events stay and are still found.
      if (page.events.length === 0 && !(await findUser(deps.db, params.id))) {
        throw new ProblemAnswer({ code: "user-unknown" });
      }
      return page;
    },
  );
}

async function listPage(
  db: Database,
  query: { limit?: number; cursor?: string },
  filter: Omit<AuditEventFilter, "limit" | "after">,
) {
  const limit = query.limit ?? pageLimit;
  const [after] = query.cursor === undefined ? [] : parseCursor(query.cursor, ["number"]);
  const events = await listAuditEvents(db, { ...filter, ...(after === undefined ? {} : { after }), limit });
  return { events: events.map(answerOf), nextCursor: nextCursorOf(events, limit, ({ id }) => [id]) };
}

function answerOf(event: AuditEvent) {
  return { ...event, at: event.at.toISOString() };
}

/** The pattern of the query lets through 31 February and hour 99. */
function timeOf(text: string): Date {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) {
    throw new ProblemAnswer({
      code: "invalid-request",
      detail: 'The query\'s field "since" is not a time that exists.',
      members: { field: "since" },
    });
  }
  return time;
}
