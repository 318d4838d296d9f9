// What a run did, counted against the limits, so that they hold over a day of runs and not for each run alone; and for which
// tick of the schedule it was, so that all replicas together run once a tick. And where its plan and its skips are kept.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

const statements = [
  // By measure (limits.ts) how many users; null of a run that changed nothing that is measured.
  "alter table sync_runs add column measured jsonb",
  // The time that the schedule names, by whatever clock; null of a run that is not the schedule's.
  "alter table sync_runs add column slot timestamptz",

  // Equal plans that were not applied, and equal skips, are kept once: with the run named here, or with this one.
  "alter table sync_runs add column plan_of uuid",
  "alter table sync_runs add column skips_of uuid",
  "alter table sync_runs add column skips_digest text",
];
