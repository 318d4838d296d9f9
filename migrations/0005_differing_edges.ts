// Of the groups that a run finds changed, only the edges that differ are staged.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

const statements = [
  // What was staged before the change means all members of a group; the run that it belongs to fails, and the next one begins anew.
  "delete from staged_group_members",
  // Whether the edge comes or goes.
  "alter table staged_group_members add column joins boolean not null",
];
