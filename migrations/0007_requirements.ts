// The MFA policy in force, required groups known by their ids, and the grace that each user has had for each reason.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

const statements = [
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
  // The entries of the policy by which the group was found once, by name or DN; it stays required under any other name.
  "alter table groups add column required_as text[] not null default '{}'",
  // By reason, the deadline that the user was given when it first required MFA.
  "alter table users add column graces jsonb",
  // How the memberships were resolved, 'nested' or 'direct'; null when some are left to be ended, so that the next run looks.
  `alter table directories add column memberships_as text
     constraint directories_memberships_as_known check (memberships_as in ('nested', 'direct'))`,
];
