// Users who are read one at a time: when that was, until a run has seen them as well, and from when on a run must not be
// joined by such a read.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

const statements = [
  // When the directory was asked, by the database's clock; null once a run that began later has been applied.
  "alter table users add column refreshed_at timestamptz",
  "create index users_refreshed on users (directory) where refreshed_at is not null",

  // Set before a run plans. Null: it lists, and what a plan reads may still change.
  "alter table sync_runs add column planned_from timestamptz",

  // A user read on demand leaves a row like a run's, with its plan.
  "alter table sync_runs drop constraint sync_runs_kind_known",
  "alter table sync_runs add constraint sync_runs_kind_known check (kind in ('full', 'incremental', 'one-user'))",
];
