// Audit events, for everybody or of one user: read only.

import type { AuditEvent, AuditEventFilter } from "../../audit/audit-events-table.ts";
import { type AuditPlace, readAuditPage } from "../../audit/audit-pages.ts";
import type { Gap } from "../../audit/gaps.ts";
import type { Database } from "../../store/database.ts";
import { findUser } from "../../users/users-table.ts";
import type { App } from "../app-type.ts";
import { cursorOf, parseCursor } from "../cursor.ts";
import { ProblemAnswer } from "../problems.ts";
import { timeOf } from "../request-time.ts";
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
        ...(query.since === undefined ? {} : { since: timeOf(query.since, "since") }),
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
  filter: Omit<AuditEventFilter, "limit" | "after" | "within">,
) {
  const limit = query.limit ?? pageLimit;
  const { events, next } = await readAuditPage(db, { ...filter, limit }, placeOf(query.cursor));
  return {
    events: events.map(answerOf),
    nextCursor: next ? cursorOf([next.id, textOfGaps(next.passedOver)]) : null,
  };
}

// Of a cursor without gaps: a part of it is never empty.
const noGaps = "-";

function textOfGaps(gaps: readonly Gap[]): string {
  return gaps.map(({ firstId, lastId }) => `${firstId}-${lastId}`).join(",") || noGaps;
}

function placeOf(cursor: string | undefined): AuditPlace | undefined {
  if (cursor === undefined) return undefined;
  const [id = "", gaps = ""] = parseCursor(cursor, ["number", "ranges"]);
  const ranges = gaps === noGaps ? [] : gaps.split(",").map((range) => range.split("-"));
  return {
    id,
    passedOver: ranges.map(([first = "", last = ""]) => ({ firstId: BigInt(first), lastId: BigInt(last) })),
  };
}

function answerOf(event: AuditEvent) {
  return { ...event, at: event.at.toISOString() };
}
