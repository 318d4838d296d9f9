// Sealing keys, authenticators, backup codes, lockouts, and the chain that seals the audit events.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

const statements = [
  // Which keys are in use. The keys themselves are files outside the database; `check_value` tells a wrong one.
  `create table sealing_keys (
    id text not null,
    check_value bytea not null,
    state text not null,
    created_at timestamptz not null default clock_timestamp(),
    retired_at timestamptz,
    constraint sealing_keys_pkey primary key (id),
    constraint sealing_keys_state_known check (state in ('active', 'retiring', 'retired')),
    constraint sealing_keys_retired_at_matches check ((state = 'retired') = (retired_at is not null))
  )`,
  `create unique index sealing_keys_one_active on sealing_keys (state) where state = 'active'`,

  // A pending row is an enrollment that was begun. Room is left on each page, so that a spent step is written beside the
  // old row version and touches no index.
  `create table authenticators (
    id uuid not null default gen_random_uuid(),
    user_id uuid not null,
    state text not null,
    key_id text not null,
    sealed bytea not null,
    -- Rule 16: the last time step that was accepted; -1 before the first.
    last_step bigint not null default -1,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    confirmed_at timestamptz,
    constraint authenticators_pkey primary key (id),
    constraint authenticators_one_each unique (user_id, state),
    constraint authenticators_user foreign key (user_id) references users (id) on delete cascade,
    constraint authenticators_key foreign key (key_id) references sealing_keys (id),
    constraint authenticators_state_known check (state in ('pending', 'active')),
    constraint authenticators_expires_matches check ((state = 'pending') = (expires_at is not null)),
    constraint authenticators_confirmed_matches check ((state = 'active') = (confirmed_at is not null)),
    -- Confirming spends a code, so an active authenticator has a last step.
    constraint authenticators_active_spent check (state = 'pending' or last_step >= 0)
  ) with (fillfactor = 80)`,
  `create index authenticators_key_id on authenticators (key_id)`,

  // Sealed: the hashes of all codes of the set, one after another by position. They die with their authenticator.
  `create table backup_code_sets (
    id uuid not null default gen_random_uuid(),
    authenticator_id uuid not null,
    kdf text not null,
    salt bytea not null,
    key_id text not null,
    sealed bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    constraint backup_code_sets_pkey primary key (id),
    constraint backup_code_sets_one_each unique (authenticator_id),
    constraint backup_code_sets_authenticator
      foreign key (authenticator_id) references authenticators (id) on delete cascade,
    constraint backup_code_sets_key foreign key (key_id) references sealing_keys (id),
    constraint backup_code_sets_salt_long_enough check (octet_length(salt) >= 16)
  )`,
  `create index backup_code_sets_key_id on backup_code_sets (key_id)`,
  `create table backup_codes (
    set_id uuid not null,
    position smallint not null,
    spent_at timestamptz,
    constraint backup_codes_pkey primary key (set_id, position),
    constraint backup_codes_set foreign key (set_id) references backup_code_sets (id) on delete cascade
  )`,

  // Rule 19. Both rows of a user exist from the first begun enrollment on: no row, no code is accepted.
  `create table lockouts (
    user_id uuid not null,
    method text not null,
    -- Consecutive failures since the last success or lockout.
    failures integer not null default 0,
    -- Each lockout doubles the next; a success with no failure and no lockout since the one before takes one step back.
    level integer not null default 0,
    locked_until timestamptz,
    constraint lockouts_pkey primary key (user_id, method),
    constraint lockouts_user foreign key (user_id) references users (id) on delete cascade,
    constraint lockouts_method_known check (method in ('totp', 'backup-code')),
    constraint lockouts_counts_positive check (failures >= 0 and level >= 0)
  ) with (fillfactor = 80)`,

  // The one secret that the audit chain is keyed with, sealed like all others so that it survives a key rotation.
  `create table audit_chain_keys (
    id smallint not null,
    key_id text not null,
    sealed bytea not null,
    constraint audit_chain_keys_pkey primary key (id),
    constraint audit_chain_keys_one check (id = 1),
    constraint audit_chain_keys_key foreign key (key_id) references sealing_keys (id)
  )`,
  `create table audit_seals (
    position bigint not null,
    event_id bigint not null,
    event_mac bytea not null,
    chain_mac bytea not null,
    sealed_at timestamptz not null default clock_timestamp(),
    constraint audit_seals_pkey primary key (position),
    constraint audit_seals_event_once unique (event_id),
    constraint audit_seals_event foreign key (event_id) references audit_events (id),
    constraint audit_seals_position_positive check (position > 0)
  )`,
  // Ids that the chain has passed over: their transactions rolled back, or have yet to commit.
  `create table audit_gaps (
    first_id bigint not null,
    last_id bigint not null,
    noticed_at timestamptz not null default clock_timestamp(),
    constraint audit_gaps_pkey primary key (first_id),
    constraint audit_gaps_order check (first_id <= last_id)
  )`,

  // Append-only, whoever asks. docs/decisions/0013-audit-chain.md says how to take the grants away as well.
  `create function refuse_change() returns trigger language plpgsql as $$
  begin
    raise exception 'table % is append-only', tg_table_name using errcode = 'insufficient_privilege';
  end $$`,
  ...["audit_events", "audit_seals"].map(
    (table) => `create trigger ${table}_append_only before update or delete or truncate on ${table}
      for each statement execute function refuse_change()`,
  ),
];
