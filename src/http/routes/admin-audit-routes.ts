// Audit events, for everybody or of one user: read only.

import {
  type AuditEvent,
  type AuditEventFilter,
  listLatestAuditEvents,
} from "../../audit/audit-events-table.ts";
import { type AuditPlace, readAuditPage } from "../../audit/audit-pages.ts";
import { auditEventsAsCsv } from "../../audit/export-events.ts";
import type { Gap } from "../../audit/gaps.ts";
import type { Database } from "../../store/database.ts";
import { findUser } from "../../users/users-table.ts";
import type { App } from "../app-type.ts";
import { cursorOf, nextCursorOf, parseCursor } from "../cursor.ts";
import { ProblemAnswer } from "../problems.ts";
import { timeOf } from "../request-time.ts";
import { IdParams, pageLimit } from "../schemas.ts";
import { pagesOfCsv, sendCsv } from "../send-csv.ts";
import { wantsCsv } from "../wants-csv.ts";
import { AuditEventPage, AuditEventsQuery, UserEventsQuery } from "./admin-audit-schemas.ts";

export function addAdminAuditRoutes(app: App, deps: { db: Database }): void {
  app.get(
    "/v1/admin/audit-events",
    {
      schema: {
        tags: ["admin"],
        summary: "Audit events",
        description:
          "With `Accept: text/csv` all events that fit come as CSV (RFC 4180), oldest first, without pages; `limit`, `cursor` and " +
          "`order` are refused then. Of pages with the newest first, events that commit late may be missing; those with the oldest " +
          "first skip none.",
        querystring: AuditEventsQuery,
        response: { 200: AuditEventPage },
      },
      config: { scope: ["admin", "audit"], alsoCsv: true },
    },
    async ({ query, headers }, reply) => {
      const { since, action, user, ...page } = query;
      const filter = {
        ...(since === undefined ? {} : { since: timeOf(since, "since") }),
        ...(action === undefined ? {} : { action }),
        ...(user === undefined ? {} : { userId: user }),
      };
      reply.header("vary", "accept");
      if (wantsCsv(headers.accept)) {
        if (Object.keys(page).length > 0) throw pagesOfCsv();
        return sendCsv(reply, "audit-events.csv", auditEventsAsCsv(deps.db, filter));
      }
      return listPage(deps.db, page, filter);
    },
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

interface PageQuery {
  limit?: number;
  cursor?: string;
  order?: "oldest" | "newest";
}

type Filter = Omit<AuditEventFilter, "limit" | "after" | "within">;

function listPage(db: Database, { order, cursor, limit = pageLimit }: PageQuery, filter: Filter) {
  return order === "newest"
    ? listNewest(db, cursor, { ...filter, limit })
    : listOldest(db, cursor, { ...filter, limit });
}

async function listNewest(db: Database, cursor: string | undefined, filter: Filter & { limit: number }) {
  const [before] = cursor === undefined ? [] : parseCursor(cursor, ["number"]);
  const events = await listLatestAuditEvents(db, { ...filter, before });
  return {
    events: events.map(answerOf),
    nextCursor: nextCursorOf(events, filter.limit, (last) => [last.id]),
  };
}

async function listOldest(db: Database, cursor: string | undefined, filter: Filter & { limit: number }) {
  const { events, next } = await readAuditPage(db, filter, placeOf(cursor));
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
