// The outbox. Rows of acts are written by a trigger (migrations/0003_notices_and_console.ts), in the transaction of the act; those of states by the
// statements here, once each. Delivered and dead rows stay for a while: a state that was told must not be told again.

import type { Database, Transaction } from "../store/database.ts";
import { rawCount, rawRows } from "../store/raw-rows.ts";
import type { Notice, NoticeChannel, NoticeKind, NoticeState } from "./notice.ts";

const columns = `n.id, n.kind, n.channel, n.directory, n.facts, n.created_at as "createdAt", n.state, n.attempts,
  n.next_attempt_at as "nextAttemptAt", n.last_error as "lastError",
  case when n.address is not null then json_build_object('username', u.username, 'address', n.address) end as "user"`;

/** Notices of the channel whose turn has come, oldest first. */
export async function listDue(db: Database, channel: NoticeChannel, limit: number): Promise<Notice[]> {
  const rows = await rawRows<Notice>(
    db,
    `select ${columns} from notices n left join users u on u.id = n.user_id
     where n.state = 'waiting' and n.channel = :channel and n.next_attempt_at <= clock_timestamp()
     order by n.created_at, n.id limit :limit`,
    { channel, limit },
  );
  return rows;
}

export interface NoticeFilter {
  state?: NoticeState | undefined;
  limit: number;
}

/** Newest first. */
export async function listNotices(db: Database, { state, limit }: NoticeFilter): Promise<Notice[]> {
  const rows = await rawRows<Notice>(
    db,
    `select ${columns} from notices n left join users u on u.id = n.user_id
     where :state::text is null or n.state = :state order by n.created_at desc, n.id limit :limit`,
    { state: state ?? null, limit },
  );
  return rows;
}

export async function endAsDelivered(db: Database, id: string): Promise<void> {
  await db.raw(
    `update notices set state = 'delivered', ended_at = clock_timestamp(), attempts = attempts + 1, last_error = null
     where id = :id and state = 'waiting'`,
    { id },
  );
}

export async function endAsDead(db: Database, id: string, error: string): Promise<void> {
  await db.raw(
    `update notices set state = 'dead', ended_at = clock_timestamp(), attempts = attempts + 1, last_error = :error
     where id = :id and state = 'waiting'`,
    { id, error },
  );
}

/** Tries again later: 30 seconds, then twice as long each time, an hour at most. */
export async function postpone(db: Database, id: string, error: string): Promise<void> {
  await db.raw(
    `update notices set attempts = attempts + 1, last_error = :error,
       next_attempt_at = clock_timestamp() + least(30 * 2.0 ^ least(attempts, 20), 3600) * interval '1 second'
     where id = :id and state = 'waiting'`,
    { id, error },
  );
}

/** Gives up what could not be delivered for so long. Of a channel that is not configured, it is forgotten. */
export async function giveUp(
  db: Database,
  input: { afterMs: number; channels: readonly NoticeChannel[] },
): Promise<void> {
  const bindings = { afterMs: input.afterMs, channels: [...input.channels] };
  const old = "state = 'waiting' and created_at < clock_timestamp() - :afterMs * interval '1 millisecond'";
  await db.raw(
    `update notices set state = 'dead', ended_at = clock_timestamp(), last_error = coalesce(last_error, 'not delivered in time')
     where ${old} and channel = any(:channels::text[])`,
    bindings,
  );
  await db.raw(`delete from notices where ${old} and channel <> all(:channels::text[])`, bindings);
}

/** Forgets what ended long ago. */
export async function deleteEnded(db: Database, afterMs: number): Promise<void> {
  await db.raw(
    "delete from notices where state <> 'waiting' and ended_at < clock_timestamp() - :afterMs * interval '1 millisecond'",
    { afterMs },
  );
}

/** Makes dead notices wait again, with a new start for their back-off. Without `id` all of them. Returns how many. */
export async function reviveDead(trx: Transaction, id?: string): Promise<number> {
  return rawCount(
    trx,
    `update notices set state = 'waiting', ended_at = null, attempts = 0, next_attempt_at = clock_timestamp(),
       created_at = clock_timestamp()
     where state = 'dead' and (:id::uuid is null or id = :id)`,
    { id: id ?? null },
  );
}

export interface NoticeCounts {
  waiting: number;
  dead: number;
  /** Seconds that the oldest waits. */
  oldestSeconds: number;
}

export async function countNotices(db: Database): Promise<NoticeCounts> {
  const rows = await rawRows<NoticeCounts>(
    db,
    `select count(*) filter (where state = 'waiting')::int as waiting, count(*) filter (where state = 'dead')::int as dead,
       coalesce(extract(epoch from clock_timestamp() - min(created_at) filter (where state = 'waiting')), 0)::float8
         as "oldestSeconds"
     from notices where state <> 'delivered'`,
  );
  return rows[0] ?? { waiting: 0, dead: 0, oldestSeconds: 0 };
}

/** Tells admins of a state, once: nothing happens for a key that was told already. */
export async function insertForAdmins(
  db: Database | Transaction,
  notice: {
    kind: NoticeKind;
    directory?: string | undefined;
    facts: Readonly<Record<string, unknown>>;
    onceKey: string;
  },
): Promise<void> {
  await db.raw(
    `insert into notices (kind, channel, directory, facts, once_key)
     select :kind, channel, :directory::text, :facts::jsonb, :kind || ':' || channel || ':' || :onceKey
     from unnest(array['mail', 'webhook']) as channel on conflict do nothing`,
    { ...notice, directory: notice.directory ?? null, facts: JSON.stringify(notice.facts) },
  );
}

/** Tells users in their grace period by when they must enroll: at its beginning, and `beforeMs` before its end. Once each. */
export async function insertDeadlines(db: Database, beforeMs: readonly number[]): Promise<number> {
  return rawCount(
    db,
    `insert into notices (kind, channel, user_id, address, directory, facts, once_key)
     select t.kind, 'mail', u.id, u.email, u.directory, jsonb_build_object('deadline', u.enrollment_deadline),
       concat_ws(':', t.kind, u.id, extract(epoch from u.enrollment_deadline), t.before_ms)
     from users u cross join (
       select 'must-enroll' as kind, null::float8 as before_ms
       union all select 'reminder', unnest(:beforeMs::float8[])
     ) t
     where u.state = 'active' and u.email is not null and u.required_since is not null
       and u.enrollment_deadline > clock_timestamp()
       and u.enrollment_deadline > u.required_since + interval '1 minute'
       -- A grace period that is shorter than this has no such reminder: it would come with the first notice.
       and (t.before_ms is null
         or u.enrollment_deadline < clock_timestamp() + t.before_ms * interval '1 millisecond'
           and u.enrollment_deadline - u.required_since > t.before_ms * interval '1 millisecond')
       and not exists (select from authenticators a where a.user_id = u.id and a.state = 'active')
       and not exists (select from notices o where o.once_key =
         concat_ws(':', t.kind, u.id, extract(epoch from u.enrollment_deadline), t.before_ms))
     on conflict do nothing`,
    { beforeMs: [...beforeMs] },
  );
}

/** Directories whose last complete listing is older than `afterMs`. */
export async function insertStaleDirectories(
  db: Database,
  input: { directories: readonly string[]; afterMs: number },
): Promise<void> {
  await db.raw(
    `insert into notices (kind, channel, directory, facts, once_key)
     select 'directory-stale', channel, d.name, jsonb_build_object('since', d.last_complete_at),
       concat_ws(':', 'directory-stale', channel, d.name, extract(epoch from d.last_complete_at))
     from directories d cross join unnest(array['mail', 'webhook']) as channel
     where d.name = any(:directories::text[]) and d.last_complete_at < clock_timestamp() - :afterMs * interval '1 millisecond'
     on conflict do nothing`,
    { directories: [...input.directories], afterMs: input.afterMs },
  );
}

/** Directories whose last `inARow` runs all failed; once for each row of failures. */
export async function insertFailedRuns(
  db: Database,
  input: { directories: readonly string[]; inARow: number },
): Promise<void> {
  await db.raw(
    `insert into notices (kind, channel, directory, facts, once_key)
     select 'runs-failed', channel, d.name,
       jsonb_build_object('runs', :inARow::int, 'since', streak.since, 'error', streak.code),
       concat_ws(':', 'runs-failed', channel, d.name, coalesce(ok.id::text, 'never'))
     from unnest(:directories::text[]) as d(name)
     cross join lateral (
       select count(*) as runs, bool_and(last.status = 'failed') as all_failed, min(last.started_at) as since,
         (array_agg(last.error_code order by last.started_at desc))[1] as code
       from (
         select r.status, r.started_at, r.error_code from sync_runs r
         where r.directory = d.name and not r.dry_run and r.status in ('failed', 'succeeded', 'held')
         order by r.started_at desc limit :inARow
       ) last
     ) streak
     left join lateral (
       select r.id from sync_runs r
       where r.directory = d.name and not r.dry_run and r.status in ('succeeded', 'held') order by r.started_at desc limit 1
     ) ok on true
     cross join unnest(array['mail', 'webhook']) as channel
     where streak.runs = :inARow and streak.all_failed
     on conflict do nothing`,
    { directories: [...input.directories], inARow: input.inARow },
  );
}
