// Enrollment passes (rule 31), and lockouts that count what they refused.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

const statements = [
  `create table enrollment_passes (
    user_id uuid not null,
    hash bytea not null,
    issued_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    -- One a user at most; a used one is deleted.
    constraint enrollment_passes_pkey primary key (user_id),
    constraint enrollment_passes_user foreign key (user_id) references users (id) on delete cascade,
    constraint enrollment_passes_hash_length check (octet_length(hash) = 32)
  )`,
  // Whether an enrollment was begun with a pass. One begun before this migration was not.
  "alter table authenticators add column with_pass boolean not null default false",
  "alter table lockouts drop constraint lockouts_method_known",
  `alter table lockouts add constraint lockouts_method_known
    check (method in ('totp', 'backup-code', 'enrollment-pass'))`,
  // Attempts refused unseen during the present lockout; told in one audit event when it is over.
  "alter table lockouts add column refused integer not null default 0",
  "alter table lockouts add constraint lockouts_refused_positive check (refused >= 0)",
  "create index lockouts_refused on lockouts (locked_until) where refused > 0",
];
