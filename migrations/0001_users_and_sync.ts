// Users, groups, sync runs with their plans, staging, the policy in force and leases.

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
    -- How the memberships were resolved; null when some are left to be ended, so that the next run looks.
    memberships_as text,
    -- The kind that the last complete listing was read as. A server that hides its root DSE one day must not be read otherwise.
    kind text,
    -- Since when it has answered with older copies alone, which nobody is removed by.
    older_since timestamptz,
    constraint directories_pkey primary key (name),
    constraint directories_memberships_as_known check (memberships_as in ('nested', 'direct'))
  )`,
  // Rule 25: what the server said of its changes when the last run began, with all that it holds for.
  `create table directory_marks (
    directory text not null,
    server_identity text not null,
    mark text not null,
    -- Digest of kind, bases, filters and mapping: what is read otherwise is read anew.
    reading text not null,
    -- The full run that the mark goes back to; what it and those after it skipped is read again.
    full_run uuid not null,
    constraint directory_marks_pkey primary key (directory),
    constraint directory_marks_directory foreign key (directory) references directories (name)
      on update cascade on delete cascade
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
    -- A member key as in group_members: 'rid:' or 'gid:' and a number.
    primary_group_key text,
    -- By reason, the deadline that the user was given when it first required MFA.
    graces jsonb,
    -- When the directory was asked for this one user, by the database's clock; null once a run that began later was applied.
    refreshed_at timestamptz,
    constraint users_pkey primary key (id),
    constraint users_directory_id_unique unique (directory, directory_id),
    constraint users_state_known check (state in ('active', 'disabled', 'removed')),
    constraint users_removed_at_matches check ((state = 'removed') = (removed_at is not null)),
    constraint users_deadline_matches check ((required_since is null) = (enrollment_deadline is null))
  )`,
  // One live user per name and directory (rule 3). The name comes first, since sign-ins ask by name alone.
  `create unique index users_live_name_unique on users (username_key, directory) where state <> 'removed'`,
  `create index users_removed_name on users (username_key) where state = 'removed'`,
  "create index users_refreshed on users (directory) where refreshed_at is not null",

  // An alias that two users share matches neither, so it is not unique here.
  `create table user_aliases (
    alias_key text collate "C" not null,
    user_id uuid not null,
    constraint user_aliases_pkey primary key (alias_key, user_id),
    constraint user_aliases_user foreign key (user_id) references users (id) on delete cascade
  )`,
  `create index user_aliases_user_id on user_aliases (user_id)`,

  // How often in a row a user was missing from complete listings, for directories that want more than one before a removal.
  `create table user_absences (
    user_id uuid not null,
    listings integer not null,
    constraint user_absences_pkey primary key (user_id),
    constraint user_absences_user foreign key (user_id) references users (id) on delete cascade
  )`,

  `create table groups (
    id uuid not null default gen_random_uuid(),
    directory text collate "C" not null,
    directory_id text collate "C" not null,
    name text not null,
    name_key text collate "C" not null,
    dn text not null,
    dn_key text collate "C" not null,
    entry_hash text collate "C" not null,
    -- The entries of the policy by which the group was found once, by name or DN; it stays required under any other name.
    required_as text[] not null default '{}',
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
  // In which groups somebody is listed, for whoever is read alone.
  `create index group_members_key on group_members (member_key)`,
  // Who is in a group in the end, nested groups resolved.
  `create table user_groups (
    user_id uuid not null,
    group_id uuid not null,
    constraint user_groups_pkey primary key (user_id, group_id),
    constraint user_groups_user foreign key (user_id) references users (id) on delete cascade,
    constraint user_groups_group foreign key (group_id) references groups (id) on delete cascade
  )`,
  `create index user_groups_group_id on user_groups (group_id)`,

  // A user read on demand leaves a row like a run's, with its plan.
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
    -- By measure (limits.ts) how many users; null of a run that changed nothing that is measured.
    measured jsonb,
    -- The time that the schedule names, by whatever clock; null of a run that is not the schedule's.
    slot timestamptz,
    -- Equal plans that were not applied, and equal skips, are kept once: with the run named here, or with this one.
    plan_of uuid,
    skips_of uuid,
    skips_digest text,
    -- Set before a run plans. Null: it lists, and what a plan reads may still change.
    planned_from timestamptz,
    constraint sync_runs_pkey primary key (id),
    constraint sync_runs_kind_known check (kind in ('full', 'incremental', 'one-user')),
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
    -- Groups protect no user, and users no group.
    of_groups boolean not null default false,
    -- What the entry says all the same; null where it does not, and of groups.
    disabled boolean,
    constraint sync_skips_pkey primary key (id)
  )`,
  `create index sync_skips_run on sync_skips (run_id)`,

  // Staging: what the running listing has handed over so far. A page of unchanged users or groups is one row.
  // It is a run's own draft: a run that loses it fails as `run-incomplete-staging` and changes nothing. So it needs neither
  // the write-ahead log, nor a flush to disk for every page, nor a way to the replicas of the database.
  `create unlogged table staged_pages (
    run_id uuid not null,
    number integer not null,
    unchanged_ids uuid[] not null,
    -- Groups are few: their ids alone are looked for without those of all users.
    of_groups boolean not null default false,
    constraint staged_pages_pkey primary key (run_id, number)
  )`,
  // Random ids: to compress them costs time and gains nothing.
  "alter table staged_pages alter column unchanged_ids set storage external",
  `create unlogged table staged_entries (
    run_id uuid not null,
    directory_id text collate "C" not null,
    username text not null,
    username_key text collate "C" not null,
    display_name text,
    email text,
    dn text not null,
    dn_key text collate "C" not null,
    alias_keys text,
    -- Null: the directory did not say, and the user keeps the state that is stored.
    disabled boolean,
    entry_hash text collate "C" not null,
    primary_group_key text,
    -- The id that a new user will have. Given by dirmfa in the order of time: random ones cost a first import a third of what
    -- it takes to write the users, in making them and in finding their places in the index.
    user_id uuid not null
  )`,
  // Not unique by directory id: an entry may be listed twice, and a unique index would cost a first import a tenth.
  `create index staged_entries_run on staged_entries (run_id)`,
  `create unlogged table staged_groups (
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
  `create unlogged table staged_group_members (
    run_id uuid not null,
    group_directory_id text collate "C" not null,
    member_key text collate "C" not null,
    -- Of a changed group only the edges that differ are staged; whether this one comes or goes.
    joins boolean not null
  )`,
  `create index staged_group_members_run on staged_group_members (run_id)`,
  // The effective memberships that the plan adds (joins) and ends, as differences to user_groups.
  `create unlogged table staged_memberships (
    run_id uuid not null,
    directory_id text collate "C" not null,
    group_directory_id text collate "C" not null,
    joins boolean not null,
    constraint staged_memberships_pkey primary key (run_id, directory_id, group_directory_id)
  )`,

  // What every process decides by. A start with another configuration replaces it; a process that still has the old one
  // follows it all the same. `digest` is of the configuration that it was made from.
  `create table mfa_policy (
    only_row boolean primary key default true constraint mfa_policy_only_row check (only_row),
    digest text not null,
    organization boolean not null,
    directories text[] not null,
    group_keys text[] not null,
    new_users boolean not null,
    initial_import text not null
      constraint mfa_policy_initial_import_known check (initial_import in ('exempt', 'include')),
    grace_ms bigint not null constraint mfa_policy_grace_positive check (grace_ms >= 0),
    enrollment_pass boolean not null,
    since timestamptz not null default now()
  )`,

  // Rule 9. The token rises with every new holder, so that a holder that lost its lease can be told from the next one.
  `create table leases (
    name text not null,
    holder text not null,
    token bigint not null,
    expires_at timestamptz not null,
    constraint leases_pkey primary key (name)
  )`,

  // The planner needs the number of rows and of distinct values, which 3,000 sampled rows tell as well as 30,000.
  ...lowStatistics("staged_entries", ["run_id", "directory_id", "username_key"]),
  ...lowStatistics("staged_groups", ["run_id", "directory_id", "dn_key"]),
  ...lowStatistics("staged_group_members", ["run_id", "group_directory_id", "member_key"]),
  ...lowStatistics("sync_changes", ["run_id", "directory_id", "user_id", "action"]),
];

function lowStatistics(table: string, columns: string[]): string[] {
  return columns.map((column) => `alter table ${table} alter column ${column} set statistics 10`);
}
