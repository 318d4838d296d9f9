// Users, groups, sync runs with their plans, staging, leases and audit events.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

// Keys are compared byte by byte (collate "C"): several times faster than by a language's rules, and in one order on every
// server, so that an index outlives an upgrade of the system's collations.
// No foreign key leads from a user or group to its directory: a directory may leave the configuration while its
// users stay, and a check per row would double the cost of a first import.
const statements = [
  `create table directories (
    name text not null,
    -- When the first complete listing was applied; until then the run is the initial import (rule 12).
    first_imported_at timestamptz,
    -- The server of the last complete listing that was applied (rule 4), and how far its copy had got.
    server_identity text,
    server_state text,
    last_complete_at timestamptz,
    constraint directories_pkey primary key (name)
  )`,

  `create table users (
    id uuid not null default gen_random_uuid(),
    directory text collate "C" not null,
    directory_id text collate "C" not null,
    username text not null,
    username_key text collate "C" not null,
    display_name text,
    email text,
    dn text not null,
    dn_key text collate "C" not null,
    alias_keys text,
    state text not null,
    entry_hash text collate "C" not null,
    -- Rule 12: decided once, at the insert.
    required_new_user boolean not null,
    -- F4: null until an admin decides; false also ends the new-user flag.
    required_by_admin boolean,
    -- Rule 13: fixed at the moment the requirement began, null while nothing requires MFA.
    required_since timestamptz,
    enrollment_deadline timestamptz,
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    removed_at timestamptz,
    constraint users_pkey primary key (id),
    constraint users_directory_id_unique unique (directory, directory_id),
    constraint users_state_known check (state in ('active', 'disabled', 'removed')),
    constraint users_removed_at_matches check ((state = 'removed') = (removed_at is not null)),
    constraint users_deadline_matches check ((required_since is null) = (enrollment_deadline is null))
  )`,
  // One live user per name and directory (rule 3). The name comes first, since sign-ins ask by name alone.
  `create unique index users_live_name_unique on users (username_key, directory) where state <> 'removed'`,
  `create index users_removed_name on users (username_key) where state = 'removed'`,

  // An alias that two users share matches neither, so it is not unique here.
  `create table user_aliases (
    alias_key text collate "C" not null,
    user_id uuid not null,
    constraint user_aliases_pkey primary key (alias_key, user_id),
    constraint user_aliases_user foreign key (user_id) references users (id) on delete cascade
  )`,
  `create index user_aliases_user_id on user_aliases (user_id)`,

  `create table groups (
    id uuid not null default gen_random_uuid(),
    directory text collate "C" not null,
    directory_id text collate "C" not null,
    name text not null,
    name_key text collate "C" not null,
    dn text not null,
    dn_key text collate "C" not null,
    entry_hash text collate "C" not null,
    constraint groups_pkey primary key (id),
    constraint groups_directory_id_unique unique (directory, directory_id)
  )`,
  // What the directory lists, as it lists it: 'dn:' and a DN key, or 'uid:' and a username key. Primary groups list nobody
  // and have the keys of their members as 'rid:' or 'gid:' and a number.
  `create table group_members (
    group_id uuid not null,
    member_key text collate "C" not null,
    constraint group_members_pkey primary key (group_id, member_key),
    constraint group_members_group foreign key (group_id) references groups (id) on delete cascade
  )`,
  // Who is in a group in the end, nested groups resolved.
  `create table user_groups (
    user_id uuid not null,
    group_id uuid not null,
    constraint user_groups_pkey primary key (user_id, group_id),
    constraint user_groups_user foreign key (user_id) references users (id) on delete cascade,
    constraint user_groups_group foreign key (group_id) references groups (id) on delete cascade
  )`,
  `create index user_groups_group_id on user_groups (group_id)`,

  `create table sync_runs (
    id uuid not null default gen_random_uuid(),
    directory text collate "C" not null,
    kind text not null,
    trigger text not null,
    requested_by text not null,
    dry_run boolean not null,
    -- The held run whose plan this run was approved to carry out.
    approves uuid,
    status text not null,
    fencing_token bigint not null,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    server_url text,
    server_identity text,
    server_state text,
    listed integer,
    unchanged integer,
    added integer,
    changed integer,
    restored integer,
    disabled integer,
    removed integer,
    skipped integer,
    hold_reasons jsonb,
    notes jsonb,
    plan_digest text,
    approved_at timestamptz,
    approved_by text,
    error_code text,
    error_message text,
    error_remedy text,
    constraint sync_runs_pkey primary key (id),
    constraint sync_runs_kind_known check (kind in ('full', 'incremental')),
    constraint sync_runs_trigger_known check (trigger in ('schedule', 'start', 'request', 'approval')),
    constraint sync_runs_status_known
      check (status in ('running', 'succeeded', 'failed', 'held', 'abandoned')),
    constraint sync_runs_finished_matches check ((status = 'running') = (finished_at is null))
  )`,
  `create index sync_runs_directory_started on sync_runs (directory, started_at desc)`,

  `create table sync_changes (
    run_id uuid not null,
    directory_id text collate "C" not null,
    user_id uuid,
    action text not null,
    username text not null,
    dn text not null,
    reasons text[] not null,
    -- What the stored user was and becomes, for the fields that differ; null where the action says it all.
    before jsonb,
    after jsonb,
    constraint sync_changes_pkey primary key (run_id, directory_id),
    constraint sync_changes_action_known check (action in ('add', 'change', 'restore', 'disable', 'remove'))
  )`,
  `create table sync_skips (
    id bigint generated always as identity,
    run_id uuid not null,
    dn text not null,
    dn_key text collate "C",
    directory_id text collate "C",
    username_key text collate "C",
    reason text not null,
    detail text not null,
    constraint sync_skips_pkey primary key (id)
  )`,
  `create index sync_skips_run on sync_skips (run_id)`,

  // Staging: what the running listing has handed over so far. A page of unchanged users or groups is one row.
  `create table staged_pages (
    run_id uuid not null,
    number integer not null,
    unchanged_ids uuid[] not null,
    constraint staged_pages_pkey primary key (run_id, number)
  )`,
  `create table staged_entries (
    id bigint generated always as identity,
    run_id uuid not null,
    directory_id text collate "C" not null,
    username text not null,
    username_key text collate "C" not null,
    display_name text,
    email text,
    dn text not null,
    dn_key text collate "C" not null,
    alias_keys text,
    disabled boolean not null,
    entry_hash text collate "C" not null
  )`,
  // Not unique by directory id: an entry may be listed twice, and a unique index would cost a first import a tenth.
  `create index staged_entries_run on staged_entries (run_id)`,
  `create table staged_groups (
    id bigint generated always as identity,
    run_id uuid not null,
    directory_id text collate "C" not null,
    name text not null,
    name_key text collate "C" not null,
    dn text not null,
    dn_key text collate "C" not null,
    entry_hash text collate "C" not null
  )`,
  `create index staged_groups_run on staged_groups (run_id)`,
  `create table staged_group_members (
    run_id uuid not null,
    group_directory_id text collate "C" not null,
    member_key text collate "C" not null
  )`,
  `create index staged_group_members_run on staged_group_members (run_id)`,
  // The effective memberships that the plan adds (joins) and ends, as differences to user_groups.
  `create table staged_memberships (
    run_id uuid not null,
    directory_id text collate "C" not null,
    group_directory_id text collate "C" not null,
    joins boolean not null,
    constraint staged_memberships_pkey primary key (run_id, directory_id, group_directory_id)
  )`,

  // Rule 9. The token rises with every new holder, so that a holder that lost its lease can be told from the next one.
  `create table leases (
    name text not null,
    holder text not null,
    token bigint not null,
    expires_at timestamptz not null,
    constraint leases_pkey primary key (name)
  )`,

  // Rule 24: written in the transaction of the change it tells of; never updated, never deleted.
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
    constraint audit_events_pkey primary key (id),
    constraint audit_events_via_known check (via in ('api', 'cli', 'sync', 'daemon'))
  )`,
  `create index audit_events_user on audit_events (user_id, id) where user_id is not null`,
  `create index audit_events_action on audit_events (action, id)`,
];
