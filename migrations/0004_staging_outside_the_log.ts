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

  // The id that a new user will have. Given by dirmfa in the order of time: random ones cost a first import a third of what it
  // takes to write the users, in making them and in finding their places in the index.
  "delete from staged_entries",
  "alter table staged_entries add column user_id uuid not null",
  // It tells rows apart as well as a number of their own, which every row paid for.
  "alter table staged_entries drop column id",

  // The planner needs the number of rows and of distinct values, which 3,000 sampled rows tell as well as 30,000.
  ...lowStatistics("staged_entries", ["run_id", "directory_id", "username_key"]),
  ...lowStatistics("staged_groups", ["run_id", "directory_id", "dn_key"]),
  ...lowStatistics("staged_group_members", ["run_id", "group_directory_id", "member_key"]),
  ...lowStatistics("sync_changes", ["run_id", "directory_id", "user_id", "action"]),
];

function lowStatistics(table: string, columns: string[]): string[] {
  return columns.map((column) => `alter table ${table} alter column ${column} set statistics 10`);
}
