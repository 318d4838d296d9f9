// Requests and answers of the admin scope about audit events.

import { Type } from "typebox";
import { auditActions } from "../../audit/audit-events-table.ts";
import {
  Closed,
  Facts,
  Instant,
  Named,
  NextCursor,
  Nullable,
  pageQuery,
  TimeText,
  Uuid,
  Words,
} from "../schemas.ts";

const AuditEvent = Named("AuditEvent", {
  id: Type.String(),
  at: Instant,
  actor: Type.String(),
  via: Type.String(),
  action: Type.String(),
  userId: Nullable(Type.String()),
  directory: Nullable(Type.String()),
  outcome: Type.String(),
  details: Facts,
  requestId: Nullable(
    Type.String({
      description: "Of the request, as in its answer's X-Request-Id; of the command or the daemon",
    }),
  ),
});

const order = Type.Optional(
  Words(["oldest", "newest"], { description: "Which events come first; the oldest when not given" }),
);
export const UserEventsQuery = Closed({ order, ...pageQuery });
export const AuditEventsQuery = Closed({
  since: Type.Optional(TimeText()),
  action: Type.Optional(Words(auditActions, { title: "AuditAction" })),
  user: Type.Optional(Uuid),
  order,
  ...pageQuery,
});
export const AuditEventPage = Named("AuditEventPage", {
  events: Type.Array(AuditEvent),
  nextCursor: NextCursor,
});
