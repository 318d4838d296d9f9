// Sealing keys, authenticators, backup codes, lockouts, enrollment passes, audit events and the chain that seals them.

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
    -- Which authenticator an enrollment replaces, so that it can replace no other (rule 14); null: none was active. No
    -- foreign key: what is gone must stay remembered, or the enrollment would look like a first one.
    replaces uuid,
    -- Whether the enrollment was begun with a pass (rule 31).
    with_pass boolean not null default false,
    constraint authenticators_pkey primary key (id),
    constraint authenticators_one_each unique (user_id, state),
    constraint authenticators_user foreign key (user_id) references users (id) on delete cascade,
    constraint authenticators_key foreign key (key_id) references sealing_keys (id),
    constraint authenticators_state_known check (state in ('pending', 'active')),
    constraint authenticators_expires_matches check ((state = 'pending') = (expires_at is not null)),
    constraint authenticators_confirmed_matches check ((state = 'active') = (confirmed_at is not null)),
    -- Confirming spends a code, so an active authenticator has a last step.
    constraint authenticators_active_spent check (state = 'pending' or last_step >= 0),
    constraint authenticators_replaces_while_pending check (state = 'pending' or replaces is null)
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
    -- Attempts refused unseen during the present lockout; told in one audit event when it is over.
    refused integer not null default 0,
    constraint lockouts_pkey primary key (user_id, method),
    constraint lockouts_user foreign key (user_id) references users (id) on delete cascade,
    constraint lockouts_method_known check (method in ('totp', 'backup-code', 'enrollment-pass')),
    constraint lockouts_counts_positive check (failures >= 0 and level >= 0),
    constraint lockouts_refused_positive check (refused >= 0)
  ) with (fillfactor = 80)`,
  "create index lockouts_refused on lockouts (locked_until) where refused > 0",

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

  // Rule 24: written in the transaction of the change it tells of; never updated, and deleted at the end of the retention alone.
  `create table audit_events (
    id bigint generated always as identity,
    at timestamptz not null default clock_timestamp(),
    actor text not null,
    via text not null,
    action text not null,
    user_id uuid,
    directory text collate "C",
    outcome text not null,
    details jsonb not null,
    request_id text,
    constraint audit_events_pkey primary key (id),
    constraint audit_events_via_known check (via in ('api', 'cli', 'sync', 'daemon', 'console'))
  )`,
  `create index audit_events_user on audit_events (user_id, id) where user_id is not null`,
  `create index audit_events_action on audit_events (action, id)`,

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
    -- What the MACs are made over: 1 without request and time of sealing, 2 with both.
    version smallint not null,
    constraint audit_seals_pkey primary key (position),
    constraint audit_seals_event_once unique (event_id),
    -- Deferrable, since an event and its seal are cut off together.
    constraint audit_seals_event foreign key (event_id) references audit_events (id) deferrable initially immediate,
    constraint audit_seals_position_positive check (position > 0),
    constraint audit_seals_version_known check (version in (1, 2))
  )`,
  // Ids that the chain has passed over: their transactions rolled back, or have yet to commit.
  `create table audit_gaps (
    first_id bigint not null,
    last_id bigint not null,
    noticed_at timestamptz not null default clock_timestamp(),
    constraint audit_gaps_pkey primary key (first_id),
    constraint audit_gaps_order check (first_id <= last_id)
  )`,

  // Where the chain goes on after its beginning was cut off: the last seal that went.
  `create table audit_anchors (
    position bigint not null,
    chain_mac bytea not null,
    -- The highest id that was cut off: a missing id up to here is no gap.
    highest_event_id bigint not null,
    cut_at timestamptz not null,
    mac bytea not null,
    constraint audit_anchors_pkey primary key (position),
    constraint audit_anchors_position_positive check (position > 0)
  )`,

  // Append-only, whoever asks, but for what an anchor stands for. docs/decisions/0013-audit-chain.md says how to take the grants away as well.
  `create function refuse_change() returns trigger language plpgsql as $$
  begin
    raise exception 'table % is append-only', tg_table_name using errcode = 'insufficient_privilege';
  end $$`,
  ...["audit_events", "audit_seals"].map(
    (table) => `create trigger ${table}_append_only before update or truncate on ${table}
      for each statement execute function refuse_change()`,
  ),
  `create trigger audit_anchors_append_only before update or delete or truncate on audit_anchors
     for each statement execute function refuse_change()`,
  `create function refuse_delete_of_uncut_event() returns trigger language plpgsql as $$
  begin
    if exists (
      select from audit_seals s
      where s.event_id = old.id and s.position <= (select max(position) from audit_anchors)
    ) then return old; end if;
    raise exception 'table audit_events is append-only' using errcode = 'insufficient_privilege';
  end $$`,
  `create trigger audit_events_no_delete before delete on audit_events
     for each row execute function refuse_delete_of_uncut_event()`,
  `create function refuse_delete_of_uncut_seal() returns trigger language plpgsql as $$
  begin
    if old.position <= (select max(position) from audit_anchors) then return old; end if;
    raise exception 'table audit_seals is append-only' using errcode = 'insufficient_privilege';
  end $$`,
  `create trigger audit_seals_no_delete before delete on audit_seals
     for each row execute function refuse_delete_of_uncut_seal()`,

  // The only way to delete for a role that does not own the tables. It takes the beginning of the chain and nothing else,
  // never the last seal and nothing of the last day, whatever it is asked for. Only \`dirmfa audit verify\` can judge the MAC.
  `create function cut_audit(up_to bigint, at_time timestamptz, anchor_mac bytea) returns bigint
   language plpgsql security definer as $$
  declare
    cut bigint;
  begin
    if up_to >= (select max(position) from audit_seals) then
      raise exception 'the last seal stays' using errcode = 'insufficient_privilege';
    end if;
    if exists (
      select from audit_seals s join audit_events e on e.id = s.event_id
      where s.position <= up_to and e.at > clock_timestamp() - interval '1 day'
    ) then
      raise exception 'events of the last day stay' using errcode = 'insufficient_privilege';
    end if;
    insert into audit_anchors (position, chain_mac, highest_event_id, cut_at, mac)
    select up_to, s.chain_mac, greatest(
      (select max(event_id) from audit_seals where position <= up_to),
      (select max(highest_event_id) from audit_anchors)
    ), at_time, anchor_mac
    from audit_seals s where s.position = up_to;
    if not found then
      raise exception 'there is no such seal' using errcode = 'insufficient_privilege';
    end if;
    set constraints audit_seals_event deferred;
    delete from audit_events where id in (select event_id from audit_seals where position <= up_to);
    get diagnostics cut = row_count;
    delete from audit_seals where position <= up_to;
    set constraints audit_seals_event immediate;
    return cut;
  end $$`,
  "revoke execute on function cut_audit(bigint, timestamptz, bytea) from public",
  // Temporary tables are searched first unless told otherwise: anyone could put one of these names before the real table.
  `do $$
  declare
    signature text;
  begin
    foreach signature in array array[
      'cut_audit(bigint, timestamptz, bytea)', 'refuse_delete_of_uncut_event()', 'refuse_delete_of_uncut_seal()'
    ] loop
      execute format('alter function %s set search_path = %I, pg_temp', signature, current_schema());
    end loop;
  end $$`,

  // Which daemons run, and which sealing keys each can use: the check values by key id, as in sealing_keys.
  `create table replicas (
    holder text not null,
    seen_at timestamptz not null default clock_timestamp(),
    keys jsonb not null,
    constraint replicas_pkey primary key (holder)
  )`,
];
