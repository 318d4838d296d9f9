// Lockouts outside the guard: the rows are made when an enrollment begins, and cleared by an admin. Failures are counted in
// guard-table.ts alone.

import type { Actor } from "../audit/audit-events-table.ts";
import type { Database, Transaction } from "../store/database.ts";
import { rawCount, rawRows } from "../store/raw-rows.ts";
import type { GuardedKind } from "./answers.ts";

/** Makes the rows that the guard queues on; existing ones keep their counts. */
export async function ensureLockouts(
  db: Database,
  userId: string,
  methods: readonly GuardedKind[],
): Promise<void> {
  await db.raw(
    `insert into lockouts (user_id, method) select :userId, unnest(:methods::text[]) on conflict do nothing`,
    { userId, methods: [...methods] },
  );
}

export interface EndedLockout {
  method: GuardedKind;
  /** Attempts that it refused unseen. */
  refused: number;
}

/** Ends lockouts and forgets failures; returns the kinds for which there was something to end. */
export async function clearLockouts(
  trx: Transaction,
  userId: string,
  methods: readonly GuardedKind[],
): Promise<EndedLockout[]> {
  const rows = await rawRows<EndedLockout>(
    trx,
    `with present as materialized (
       select user_id, method, refused from lockouts
       where user_id = :userId and method = any(:methods::text[])
         and (failures > 0 or level > 0 or locked_until is not null)
       order by method for update
     )
     update lockouts l set failures = 0, level = 0, locked_until = null, refused = 0 from present p
     where l.user_id = p.user_id and l.method = p.method
     returning l.method, p.refused`,
    { userId, methods: [...methods] },
  );
  return rows.toSorted((a, b) => a.method.localeCompare(b.method));
}

/** The same for many users, locked before, with an audit event for each who had something to end. Returns how many. */
export async function endLockoutsOfMany(
  trx: Transaction,
  userIds: readonly string[],
  actor: Actor,
): Promise<number> {
  return rawCount(
    trx,
    `with present as materialized (
       select user_id, method, refused from lockouts
       where user_id = any(:userIds::uuid[]) and (failures > 0 or level > 0 or locked_until is not null)
       order by user_id, method for update
     ), ended as (
       update lockouts l set failures = 0, level = 0, locked_until = null, refused = 0 from present p
       where l.user_id = p.user_id and l.method = p.method
       returning l.user_id, l.method, p.refused
     ), of_users as (
       select user_id, sum(refused) as refused, jsonb_agg(method order by method) as methods from ended group by user_id
     )
     insert into audit_events (actor, via, request_id, action, user_id, directory, outcome, details)
     select :name, :via, :requestId::text, 'unlock', u.id, u.directory, 'done',
       jsonb_build_object('methods', o.methods, 'byFilter', true)
         || case when o.refused > 0 then jsonb_build_object('refused', o.refused) else '{}' end
     from of_users o join users u on u.id = o.user_id order by u.id`,
    { userIds: [...userIds], name: actor.name, via: actor.via, requestId: actor.requestId ?? null },
  );
}

/** Counts an attempt that was refused unseen. Nothing when the lockout is over by now. */
export async function countRefusal(db: Database, userId: string, method: GuardedKind): Promise<void> {
  await db.raw(
    `update lockouts set refused = refused + 1
     where user_id = :userId and method = :method and locked_until > clock_timestamp()`,
    { userId, method },
  );
}

/**
 * Tells of lockouts that are over and refused attempts, one audit event each, and forgets the count. The guard tells of those
 * whose user came back before (guard-table.ts). Leaves out what another transaction is at; returns how many.
 */
export async function recordEndedLockouts(trx: Transaction, limit: number): Promise<number> {
  return rawCount(
    trx,
    `with ended as materialized (
       select user_id, method, refused, locked_until from lockouts
       where refused > 0 and locked_until <= clock_timestamp()
       limit :limit for update skip locked
     ), forgotten as (
       update lockouts l set refused = 0 from ended e where l.user_id = e.user_id and l.method = e.method
     )
     insert into audit_events (actor, via, request_id, action, user_id, directory, outcome, details)
     select 'dirmfa', 'daemon', null, 'verification', u.id, u.directory, 'locked-out',
       jsonb_build_object('method', e.method, 'refused', e.refused, 'lockedUntil', e.locked_until)
     from ended e join users u on u.id = e.user_id`,
    { limit },
  );
}

/** Everything that can be locked out. */
export const guardedKinds = ["totp", "backup-code", "enrollment-pass"] as const satisfies GuardedKind[];

/** Until when codes of that kind are refused unseen; undefined when they are not. */
export async function findLockoutEnd(
  db: Database,
  userId: string,
  method: GuardedKind,
): Promise<Date | undefined> {
  const rows = await rawRows<{ locked_until: Date }>(
    db,
    `select locked_until from lockouts
     where user_id = :userId and method = :method and locked_until > clock_timestamp()`,
    { userId, method },
  );
  return rows[0]?.locked_until;
}
