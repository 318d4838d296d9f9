// Audit events: who did what to whom, through what, when. Written in the transaction of the change itself (rule 24);
// this file only inserts and reads, since an event is never updated, and deleted by retention alone (cut-old-events.ts).

import type { Database, Transaction } from "../store/database.ts";
import type { Gap } from "./gaps.ts";

export const auditActions = [
  "enrollment-begin",
  "enrollment-confirm",
  "enrollment-pass-issue",
  "verification",
  "mfa-disable",
  "backup-codes-regenerate",
  "mfa-require",
  "mfa-unrequire",
  "unlock",
  "sync-run",
  "sync-hold",
  "sync-approve",
  "user-refresh",
  "user-remove",
  "user-purge",
  "directory-rename",
  "directory-retire",
  "directory-accept-server",
  "directory-rekey",
  "user-rekey",
  "database-restored",
  "database-copy",
  "policy-change",
  "requirement-end",
  "key-rotate",
  "notice-retry",
  "seal-broken",
  "audit-accept",
  "audit-cut",
] as const;

export type AuditAction = (typeof auditActions)[number];

export type AuditVia = "api" | "cli" | "sync" | "daemon" | "console";

/** Who acts and through what, as every flow that changes something takes it. */
export interface Actor {
  /** A person or caller: `alice`, `caller:login-service`, `schedule`. */
  name: string;
  via: AuditVia;
  /** The request, command or daemon that it comes from, as the log has it: a daemon or a command has one id for all it does. */
  requestId?: string | undefined;
}

/** Whom it is about: a user with its directory, a directory, or neither. */
type AuditSubject = { userId: string; directory: string } | { userId?: never; directory?: string };

export type NewAuditEvent = AuditSubject & {
  actor: Actor;
  action: AuditAction;
  /** `done` for a change; `accepted` or the reason for a verification. */
  outcome: string;
  /** Facts an auditor needs. Never a secret, code, password or token (rule 22). */
  details?: Readonly<Record<string, unknown>>;
};

export interface AuditEvent {
  id: string;
  at: Date;
  actor: string;
  via: AuditVia;
  action: AuditAction;
  userId: string | null;
  directory: string | null;
  outcome: string;
  details: Readonly<Record<string, unknown>>;
  /** Null in events of versions that knew none. */
  requestId: string | null;
}

const columns = [
  "id",
  "at",
  "actor",
  "via",
  "action",
  "user_id",
  "directory",
  "outcome",
  "details",
  "request_id",
];

/** Adds one event to the caller's transaction. */
export async function recordAuditEvent(trx: Transaction, event: NewAuditEvent): Promise<void> {
  await trx("audit_events").insert({
    actor: event.actor.name,
    via: event.actor.via,
    action: event.action,
    user_id: event.userId ?? null,
    directory: event.directory ?? null,
    outcome: event.outcome,
    details: JSON.stringify(event.details ?? {}),
    request_id: event.actor.requestId ?? null,
  });
}

/** Adds one event for each of the users, whose rows must be there. */
export async function recordUserEvents(
  trx: Transaction,
  event: {
    actor: Actor;
    action: AuditAction;
    userIds: readonly string[];
    details: Readonly<Record<string, unknown>>;
  },
): Promise<void> {
  const { actor, action, userIds, details } = event;
  await trx.raw(
    `insert into audit_events (actor, via, request_id, action, user_id, directory, outcome, details)
     select :name, :via, :requestId::text, :action, u.id, u.directory, 'done', :details::jsonb
     from users u where u.id = any(:userIds::uuid[]) order by u.id`,
    {
      name: actor.name,
      via: actor.via,
      requestId: actor.requestId ?? null,
      action,
      userIds: [...userIds],
      details: JSON.stringify(details),
    },
  );
}

/** When the last event was written, by the database's clock. */
export async function findLastEventTime(db: Database): Promise<Date | null> {
  const row = await db("audit_events").orderBy("id", "desc").first<{ at: Date } | undefined>("at");
  return row?.at ?? null;
}

export interface AuditEventFilter {
  since?: Date;
  action?: string;
  userId?: string;
  /** Only events with a greater id: the id of the last event of the page before. */
  after?: string;
  /** Only events with ids in here. */
  within?: Gap;
  limit: number;
}

/** Events in the order of their ids, oldest first. */
export async function listAuditEvents(db: Database, filter: AuditEventFilter): Promise<AuditEvent[]> {
  const query = db("audit_events").select(columns).orderBy("id").limit(filter.limit);
  if (filter.since) query.where("at", ">=", filter.since);
  if (filter.action) query.where("action", filter.action);
  if (filter.userId) query.where("user_id", filter.userId);
  if (filter.after) query.where("id", ">", filter.after);
  if (filter.within) query.whereBetween("id", [String(filter.within.firstId), String(filter.within.lastId)]);
  const rows: AuditEventRow[] = await query;
  return rows.map(auditEventOf);
}

interface AuditEventRow {
  id: string;
  at: Date;
  actor: string;
  via: AuditVia;
  action: AuditAction;
  user_id: string | null;
  directory: string | null;
  outcome: string;
  details: Record<string, unknown>;
  request_id: string | null;
}

function auditEventOf(row: AuditEventRow): AuditEvent {
  const { user_id: userId, request_id: requestId, ...rest } = row;
  return { ...rest, userId, requestId };
}

/** Events newest first, for people who look; pages that must skip none go forward (audit-pages.ts). */
export async function listLatestAuditEvents(
  db: Database,
  filter: {
    userId?: string | undefined;
    action?: string | undefined;
    since?: Date | undefined;
    /** Only events with a smaller id: the id of the last event of the page before. */
    before?: string | undefined;
    limit: number;
  },
): Promise<AuditEvent[]> {
  const query = db("audit_events").select(columns).orderBy("id", "desc").limit(filter.limit);
  if (filter.userId) query.where("user_id", filter.userId);
  if (filter.action) query.where("action", filter.action);
  if (filter.since) query.where("at", ">=", filter.since);
  if (filter.before) query.where("id", "<", filter.before);
  const rows: AuditEventRow[] = await query;
  return rows.map(auditEventOf);
}
