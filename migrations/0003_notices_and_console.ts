// Notices with the trigger that writes them, the position of the event stream, and sessions of the console.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

const statements = [
  // Rule 32: an outbox that the act itself fills. Each act has an audit event in its transaction (rule 24), and a trigger on
  // that event writes the notice, so that no act can be without it and none is told that was rolled back.
  `create table notices (
    id uuid not null default gen_random_uuid(),
    kind text not null,
    channel text not null,
    -- Null for what admins are told.
    user_id uuid,
    -- The user's mail address when it happened: one that was changed since may be the thief's.
    address text,
    directory text,
    facts jsonb not null default '{}',
    -- What must be told once, however many replicas find it.
    once_key text,
    created_at timestamptz not null default clock_timestamp(),
    state text not null default 'waiting',
    attempts integer not null default 0,
    next_attempt_at timestamptz not null default clock_timestamp(),
    last_error text,
    ended_at timestamptz,
    constraint notices_pkey primary key (id),
    constraint notices_once unique (once_key),
    constraint notices_user foreign key (user_id) references users (id) on delete cascade,
    constraint notices_channel_known check (channel in ('mail', 'webhook')),
    constraint notices_state_known check (state in ('waiting', 'delivered', 'dead')),
    constraint notices_ended check ((state = 'waiting') = (ended_at is null)),
    constraint notices_attempts_positive check (attempts >= 0),
    constraint notices_address_of_user check ((user_id is null) = (address is null))
  )`,
  "create index notices_waiting on notices (channel, next_attempt_at) where state = 'waiting'",
  "create index notices_ended on notices (ended_at) where state <> 'waiting'",
  "create index notices_of_user on notices (user_id) where user_id is not null",

  // Nothing in here may fail for anything that an audit event can hold: the act would fail with it. Only facts that are named
  // here go into a notice.
  `create function write_notices() returns trigger language plpgsql as $$
  declare
    kind text := case
      when new.action = 'enrollment-confirm' and new.details -> 'replaces' = 'true' then 'replaced'
      when new.action = 'enrollment-confirm' then 'enrolled'
      when new.action = 'mfa-disable' and new.details -> 'byAdmin' = 'true' then 'disabled-by-admin'
      when new.action = 'mfa-disable' then 'disabled'
      when new.action = 'verification' and new.outcome = 'accepted' then 'backup-code-used'
      when new.action = 'verification' then 'locked-out'
      when new.action = 'sync-hold' then 'run-held'
      else 'seal-broken'
    end;
    facts jsonb := jsonb_build_object('at', new.at);
  begin
    if kind in ('run-held', 'seal-broken') then
      insert into notices (kind, channel, directory, facts, once_key)
      select kind, channel, new.directory, facts || jsonb_build_object('runId', new.details -> 'runId'),
        -- One an hour: while a key is missing each sign-in finds it.
        case when kind = 'seal-broken' then kind || ':' || channel || ':' || date_trunc('hour', new.at) end
      from unnest(array['mail', 'webhook']) as channel
      on conflict do nothing;
      return null;
    end if;
    if kind = 'backup-code-used' then
      facts := facts || jsonb_build_object('remaining', (
        select count(*) from authenticators a join backup_code_sets s on s.authenticator_id = a.id
          join backup_codes c on c.set_id = s.id
        where a.user_id = new.user_id and a.state = 'active' and c.spent_at is null));
    elsif kind = 'locked-out' then
      facts := facts || jsonb_build_object('method', new.details -> 'method', 'lockedUntil', new.details -> 'lockedUntil');
    end if;
    insert into notices (kind, channel, user_id, address, directory, facts)
    select kind, 'mail', u.id, u.email, u.directory, facts from users u
    where u.id = new.user_id and u.email is not null and u.state <> 'removed';
    return null;
  end $$`,
  // A verification that tells of nothing pays for this condition alone.
  `create trigger audit_events_notices after insert on audit_events for each row when (
     new.action in ('sync-hold', 'seal-broken')
     or new.action in ('enrollment-confirm', 'mfa-disable') and new.outcome = 'done'
     or new.action = 'verification' and (
       new.outcome = 'accepted' and new.details ->> 'method' = 'backup-code'
       or new.outcome not in ('accepted', 'locked-out') and new.details -> 'lockedUntil' is not null)
   ) execute function write_notices()`,
  `do $$
  begin
    execute format('alter function write_notices() set search_path = %I, pg_temp', current_schema());
  end $$`,

  // How far the event stream has got: in the database, so that whichever replica goes on goes on from there.
  `create table audit_streams (
    name text not null,
    -- Of the last seal whose event was taken by the receiver; 0 before the first.
    position bigint not null default 0,
    changed_at timestamptz not null default clock_timestamp(),
    constraint audit_streams_pkey primary key (name),
    constraint audit_streams_position_positive check (position >= 0)
  )`,

  // Sessions of the console.
  `create table console_sessions (
    -- SHA-256 of the token in the cookie; the token itself is with the browser alone.
    token_hash bytea not null,
    user_id uuid not null,
    -- What was shown so far: the password alone (and then a code, or an enrollment, is next), or both factors.
    stage text not null,
    -- The authenticator that the code was of: with its end the session ends.
    authenticator_id uuid,
    -- The roles that the person had then: with the loss of one the session ends, and one that is gained needs another sign-in.
    roles text[] not null,
    -- SHA-256 of the browser's name.
    agent_hash bytea not null,
    began_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp(),
    ends_at timestamptz not null,
    constraint console_sessions_pkey primary key (token_hash),
    constraint console_sessions_user foreign key (user_id) references users (id) on delete cascade,
    constraint console_sessions_stage_known check (stage in ('challenge', 'enroll', 'signed-in')),
    constraint console_sessions_both_factors check ((stage = 'signed-in') = (authenticator_id is not null))
  )`,
  "create index console_sessions_user_id on console_sessions (user_id)",
  "create index console_sessions_ends_at on console_sessions (ends_at)",
];
