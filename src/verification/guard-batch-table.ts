// The guard's statement (guard-table.ts) for TOTP codes that arrive together (rule 33): each is judged as there, in one statement and
// one commit for all. A user whose rows another transaction holds is left out and judged alone, so that nobody waits for somebody
// else's lock, and no two batches wait for each other.

import type { Database } from "../store/database.ts";
import { rowsOf, statementOf, unnested } from "../store/prepared.ts";
import type { Attempt, GuardOutcome, GuardRow, LockoutLimits } from "./guard-table.ts";

/** What `spendStep` is asked for one code. */
export interface StepAttempt {
  attempt: Attempt;
  limits: LockoutLimits;
  code: { authenticatorId: string; state: "pending" | "active"; step: number | undefined };
}

/** The outcomes in order, undefined for those that are to be judged alone. No user may be among them twice. */
export async function spendSteps(
  db: Database,
  attempts: readonly StepAttempt[],
): Promise<(GuardOutcome | undefined)[]> {
  const rows = await rowsOf<GuardRow & { number: string }>(
    db,
    spendStepsStatement,
    attemptBindings(attempts),
  );
  const outcomes = new Array<GuardOutcome | undefined>(attempts.length).fill(undefined);
  for (const { number, outcome, state, locked_until } of rows) {
    outcomes[Number(number) - 1] = { outcome, state, lockedUntil: locked_until };
  }
  return outcomes;
}

/** The values of `attemptsSql`. */
export function attemptBindings(attempts: readonly StepAttempt[]): Record<string, unknown[]> {
  return {
    userIds: unnested(attempts.map(({ attempt }) => attempt.userId)),
    authenticatorIds: unnested(attempts.map(({ code }) => code.authenticatorId)),
    steps: unnested(attempts.map(({ code }) => code.step ?? -1)),
    states: unnested(attempts.map(({ code }) => code.state)),
    mismatches: unnested(attempts.map(({ attempt }) => attempt.mismatch ?? null)),
    limits: unnested(attempts.map(({ limits }) => limits.failures)),
    firstMs: unnested(attempts.map(({ limits }) => limits.firstMs)),
    maximumMs: unnested(attempts.map(({ limits }) => limits.maximumMs)),
    actors: unnested(attempts.map(({ attempt }) => attempt.actor.name)),
    vias: unnested(attempts.map(({ attempt }) => attempt.actor.via)),
    requestIds: unnested(attempts.map(({ attempt }) => attempt.actor.requestId ?? null)),
    directories: unnested(attempts.map(({ attempt }) => attempt.directory)),
    details: unnested(
      attempts.map(({ attempt }) => JSON.stringify({ method: attempt.method, ...attempt.details })),
    ),
  };
}

/** The attempts as rows `t`, with their number from 1. A list of further arrays, and of their columns, may come behind them. */
export const attemptsSql = (more?: { arrays: string; columns: string }) => `
    unnest(:userIds::uuid[], :authenticatorIds::uuid[], :steps::bigint[], :states::text[], :mismatches::text[], :limits::int[],
        :firstMs::double precision[], :maximumMs::double precision[], :actors::text[], :vias::text[], :requestIds::text[],
        :directories::text[], :details::text[]${more ? `, ${more.arrays}` : ""})
      with ordinality as t (user_id, authenticator_id, step, wanted, mismatch, max_failures, first_ms, maximum_ms, actor, via, request_id,
        directory, details${more ? `, ${more.columns}` : ""}, number)`;

/** What the guard knows of each attempt. */
export const guardColumns = `t.*, l.failures, l.level, l.locked_until, l.refused, u.state,
      coalesce(l.locked_until > clock_timestamp(), false) as locked,
      u.state = 'active' and not coalesce(l.locked_until > clock_timestamp(), false) and t.mismatch is null as is_open`;

// As the statement for one, part for part. Both rows of a user are locked before anything is judged, in their newest version.
/** Spends, counts and audits what `guard` holds; then `answer` has the outcomes. */
export const judgedSql = `
  spent as (
    update authenticators a set last_step = g.step
    from guard g
    where g.is_open and a.id = g.authenticator_id and a.state = g.wanted and a.last_step < g.step
      and (a.expires_at is null or a.expires_at > clock_timestamp())
    returning g.number
  ), judged as materialized (
    select g.*, case
      when g.state <> 'active' then 'user-not-active'
      when g.locked then 'locked-out'
      when s.number is not null then 'accepted'
      else coalesce(g.mismatch, 'already-spent')
    end as outcome
    from guard g left join spent s on s.number = g.number
  ), counted as (
    update lockouts l set
      refused = case when j.locked then j.refused + 1 else 0 end,
      failures = case
        when j.locked then j.failures
        when j.outcome = 'accepted' or j.failures + 1 >= j.max_failures then 0
        else j.failures + 1
      end,
      level = case
        when j.locked then j.level
        when j.outcome = 'accepted' and j.failures = 0 and j.locked_until is null then greatest(j.level - 1, 0)
        when j.outcome = 'accepted' then j.level
        when j.failures + 1 >= j.max_failures then j.level + 1
        else j.level
      end,
      locked_until = case
        when j.locked then j.locked_until
        when j.outcome <> 'accepted' and j.failures + 1 >= j.max_failures then
          clock_timestamp() + least(j.first_ms * 2.0 ^ least(j.level, 40), j.maximum_ms) * interval '1 millisecond'
      end
    from judged j
    where l.user_id = j.user_id and l.method = 'totp'
      and (j.outcome in ('wrong-code', 'malformed', 'locked-out')
        or j.outcome = 'accepted' and (j.failures > 0 or j.level > 0 or j.locked_until is not null))
    returning j.number, l.locked_until
  ), answer as materialized (
    select j.*, case when j.locked then j.locked_until else c.locked_until end as locked_now, c.number is not null as was_counted
    from judged j left join counted c on c.number = j.number
  ), event as (
    insert into audit_events (actor, via, request_id, action, user_id, directory, outcome, details)
    select 'dirmfa', 'daemon', null, 'verification', user_id, directory, 'locked-out',
      jsonb_build_object('method', 'totp', 'refused', refused, 'lockedUntil', locked_until)
    from answer where was_counted and not locked and refused > 0
    union all
    select actor, via, request_id, 'verification', user_id, directory, outcome, details::jsonb ||
      case when locked_now is not null then jsonb_build_object('lockedUntil', locked_now) else '{}'::jsonb end
    from answer where outcome <> 'locked-out'
  )`;

const spendStepsStatement = statementOf(`
  with guard as materialized (
    select ${guardColumns}
    from ${attemptsSql()}
    join lockouts l on l.user_id = t.user_id and l.method = 'totp'
    join authenticators a on a.id = t.authenticator_id and a.user_id = t.user_id
    join users u on u.id = t.user_id
    for no key update of l, a skip locked
  ), ${judgedSql}
  select number, outcome, state, locked_now as locked_until from answer`);
