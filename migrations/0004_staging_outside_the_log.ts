// Staging is a run's own draft: a run that loses it fails as `run-incomplete-staging` and changes nothing. So it needs
// neither the write-ahead log, nor a flush to disk for every page, nor a way to the replicas of the database.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

const statements = [
  "alter table staged_pages set unlogged",
  // Random ids: to compress them costs time and gains nothing.
  "alter table staged_pages alter column unchanged_ids set storage external",
  "alter table staged_entries set unlogged",
  "alter table staged_groups set unlogged",
  "alter table staged_group_members set unlogged",
  "alter table staged_memberships set unlogged",

  // The id that a new user will have. Given by dirmfa: PostgreSQL's random ids cost a first import more than most of its columns.
  "delete from staged_entries",
  "alter table staged_entries add column user_id uuid not null",
];
