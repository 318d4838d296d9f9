// The statement behind every code that is taken (rules 15, 16, 18, 19, 24); guard-batch-table.ts has it for TOTP codes that come together. It queues on the user's lockout row, spends
// the code unless locked out, counts the failure or forgets the failures, and writes the audit event: one for every code that was
// looked at, and one for each lockout that is over, with how many it refused. All or nothing, one round trip, and under any number of equal requests exactly one spends.

import type { Actor } from "../audit/audit-events-table.ts";
import type { Database } from "../store/database.ts";
import { rowsOf, type Statement, statementOf } from "../store/prepared.ts";
import type { UserState } from "../users/user.ts";
import type { GuardedKind } from "./answers.ts";

export interface Attempt {
  userId: string;
  directory: string;
  method: GuardedKind;
  actor: Actor;
  /** Why the code does not match; undefined when it does. For the audit event alone. */
  mismatch: "wrong-code" | "malformed" | undefined;
  /** What the code was for, and other facts for the auditor. */
  details: Readonly<Record<string, string | number>>;
}

/** Settings of rule 19. */
export interface LockoutLimits {
  failures: number;
  firstMs: number;
  maximumMs: number;
}

export interface GuardOutcome {
  /**
   * `already-spent`: right, but not for the first time; no new guess, so it is not counted as a failure. `user-not-active`:
   * whatever the code, nobody may sign in with it, so it is neither spent nor counted.
   */
  outcome: "accepted" | "wrong-code" | "malformed" | "already-spent" | "locked-out" | "user-not-active";
  /** When the statement began. */
  state: UserState;
  /** Set while the kind is locked, also when this failure locked it. */
  lockedUntil: Date | null;
}

/**
 * Accepts a TOTP code by raising the authenticator's last step to `step` (rule 16). `step` is ignored on a mismatch.
 * Undefined when the user has no lockout row, and so never began an enrollment: nothing was written.
 */
export async function spendStep(
  db: Database,
  attempt: Attempt,
  limits: LockoutLimits,
  code: { authenticatorId: string; state: "pending" | "active"; step: number | undefined },
): Promise<GuardOutcome | undefined> {
  return runGuarded(db, spendStepStatement, attempt, limits, { ...code, step: code.step ?? -1 });
}

// The state, and for an enrollment the time left, are compared again: both may have changed since they were read.
const spendStepSql = `
  update authenticators a set last_step = :step
  from guard
  where guard.is_open and :mismatch::text is null
    and a.id = :authenticatorId and a.user_id = guard.user_id and a.state = :state and a.last_step < :step
    and (a.expires_at is null or a.expires_at > clock_timestamp())
  returning a.id`;

/** True while `spendStep` would find this step unspent, and the authenticator as it was. Reads only. */
export async function isStepUnspent(
  db: Database,
  code: { authenticatorId: string; state: "pending" | "active"; step: number },
): Promise<boolean> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `select from authenticators
     where id = :authenticatorId and state = :state and last_step < :step
       and (expires_at is null or expires_at > clock_timestamp())`,
    { ...code },
  );
  return rows.length > 0;
}

/** Accepts the backup code at `position` of a set if it is unspent. Otherwise as `spendStep`. */
export async function spendBackupCode(
  db: Database,
  attempt: Attempt,
  limits: LockoutLimits,
  code: { setId: string; position: number | undefined },
): Promise<GuardOutcome | undefined> {
  return runGuarded(db, spendBackupCodeStatement, attempt, limits, {
    ...code,
    position: code.position ?? -1,
  });
}

const spendBackupCodeSql = `
  update backup_codes c set spent_at = clock_timestamp()
  from guard
  where guard.is_open and :mismatch::text is null
    and c.set_id = :setId and c.position = :position and c.spent_at is null
  returning c.set_id`;

/** Accepts the user's enrollment pass and deletes it; whether it is the right one was compared under the user's lock. */
export async function spendPass(
  db: Database,
  attempt: Attempt,
  limits: LockoutLimits,
): Promise<GuardOutcome | undefined> {
  return runGuarded(db, spendPassStatement, attempt, limits, {});
}

const spendPassSql = `
  delete from enrollment_passes p using guard
  where guard.is_open and :mismatch::text is null
    and p.user_id = guard.user_id and p.expires_at > clock_timestamp()
  returning p.user_id`;

async function runGuarded(
  db: Database,
  statement: Statement,
  attempt: Attempt,
  limits: LockoutLimits,
  code: Record<string, string | number>,
): Promise<GuardOutcome | undefined> {
  const [row] = await rowsOf<GuardRow>(db, statement, {
    ...code,
    userId: attempt.userId,
    method: attempt.method,
    mismatch: attempt.mismatch ?? null,
    limit: limits.failures,
    firstMs: limits.firstMs,
    maximumMs: limits.maximumMs,
    actor: attempt.actor.name,
    via: attempt.actor.via,
    requestId: attempt.actor.requestId ?? null,
    directory: attempt.directory,
    details: JSON.stringify({ method: attempt.method, ...attempt.details }),
  });
  if (!row) return undefined;
  const { outcome, state, locked_until } = row;
  return { outcome, state, lockedUntil: locked_until };
}

export interface GuardRow {
  outcome: GuardOutcome["outcome"];
  state: UserState;
  locked_until: Date | null;
}

// The order of the parts is forced by what each reads from the one before. Waiting for the row lock gives the newest
// version of the lockout row, and an update of a row that changed since the statement began judges its newest version
// too (READ COMMITTED), so nothing here rests on the snapshot but the user's state: what a sync commits while this statement
// queues behind another code of the same user counts from the next one on. Locking the user's row instead would let every
// verification wait for a sync that is being applied. A success that finds nothing to forget writes no row, and
// only one without a failure or a lockout since the success before makes the next lockout shorter (record 10).
const guardedSql = (spendSql: string) => `
  with guard as materialized (
    select l.user_id, l.method, l.failures, l.level, l.locked_until, l.refused, u.state,
      coalesce(l.locked_until > clock_timestamp(), false) as locked,
      u.state = 'active' and not coalesce(l.locked_until > clock_timestamp(), false) as is_open
    from lockouts l join users u on u.id = l.user_id where l.user_id = :userId and l.method = :method
    for update of l
  ), spent as (${spendSql}
  ), judged as materialized (
    select guard.*, case
      when state <> 'active' then 'user-not-active'
      when locked then 'locked-out'
      when exists (select from spent) then 'accepted'
      else coalesce(:mismatch::text, 'already-spent')
    end as outcome
    from guard
  ), counted as (
    update lockouts l set
      refused = case when j.locked then j.refused + 1 else 0 end,
      failures = case
        when j.locked then j.failures
        when j.outcome = 'accepted' or j.failures + 1 >= :limit then 0
        else j.failures + 1
      end,
      level = case
        when j.locked then j.level
        when j.outcome = 'accepted' and j.failures = 0 and j.locked_until is null then greatest(j.level - 1, 0)
        when j.outcome = 'accepted' then j.level
        when j.failures + 1 >= :limit then j.level + 1
        else j.level
      end,
      locked_until = case
        when j.locked then j.locked_until
        when j.outcome <> 'accepted' and j.failures + 1 >= :limit then
          clock_timestamp() + least(:firstMs * 2.0 ^ least(j.level, 40), :maximumMs) * interval '1 millisecond'
      end
    from judged j
    where l.user_id = j.user_id and l.method = j.method
      and (j.outcome in ('wrong-code', 'malformed', 'locked-out')
        or j.outcome = 'accepted' and (j.failures > 0 or j.level > 0 or j.locked_until is not null))
    returning l.locked_until
  ), answer as materialized (
    select j.outcome, j.state, case when j.locked then j.locked_until else counted.locked_until end as locked_until
    from judged j left join counted on true
  ), event as (
    insert into audit_events (actor, via, request_id, action, user_id, directory, outcome, details)
    select 'dirmfa', 'daemon', null, 'verification', j.user_id, :directory::text, 'locked-out',
      jsonb_build_object('method', j.method, 'refused', j.refused, 'lockedUntil', j.locked_until)
    from judged j join counted on not j.locked and j.refused > 0
    union all
    select :actor, :via, :requestId::text, 'verification', :userId::uuid, :directory, a.outcome, :details::jsonb ||
      case when a.locked_until is not null then jsonb_build_object('lockedUntil', a.locked_until) else '{}'::jsonb end
    from answer a where a.outcome <> 'locked-out'
  )
  select outcome, state, locked_until from answer`;

const spendStepStatement = statementOf(guardedSql(spendStepSql));
const spendBackupCodeStatement = statementOf(guardedSql(spendBackupCodeSql));
const spendPassStatement = statementOf(guardedSql(spendPassSql));
