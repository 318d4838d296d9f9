// Sessions of the console, and audit events of what is done through it.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

const statements = [
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

  "alter table audit_events drop constraint audit_events_via_known",
  `alter table audit_events add constraint audit_events_via_known
     check (via in ('api', 'cli', 'sync', 'daemon', 'console'))`,
];
