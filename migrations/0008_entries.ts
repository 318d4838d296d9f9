// What a run has to know of entries that it cannot use, or cannot read whole.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

const statements = [
  // The kind that the last complete listing was read as. A server that hides its root DSE one day must not be read otherwise.
  "alter table directories add column kind text",
  `update directories set kind = case split_part(server_identity, ':', 1)
     when 'ad' then 'active-directory' when 'openldap' then 'openldap' when '389ds' then '389ds' end`,

  // Null: the directory did not say, and the user keeps the state that is stored.
  "alter table staged_entries alter column disabled drop not null",

  // Groups protect no user, and users no group.
  "alter table sync_skips add column of_groups boolean not null default false",
  // What the entry says all the same; null where it does not, and of groups.
  "alter table sync_skips add column disabled boolean",
];
