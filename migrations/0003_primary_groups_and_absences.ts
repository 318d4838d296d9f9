// Primary groups: users who are in a group that does not list them. And how often in a row a user was missing from complete
// listings, for directories that want more than one before a removal.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

const statements = [
  // A member key as in group_members: 'rid:' or 'gid:' and a number.
  "alter table users add column primary_group_key text",
  "alter table staged_entries add column primary_group_key text",

  // Groups are few: their ids alone are looked for without those of all users.
  "alter table staged_pages add column of_groups boolean not null default false",

  `create table user_absences (
    user_id uuid not null,
    listings integer not null,
    constraint user_absences_pkey primary key (user_id),
    constraint user_absences_user foreign key (user_id) references users (id) on delete cascade
  )`,
];
