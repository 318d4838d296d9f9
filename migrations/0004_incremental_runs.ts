// How far incremental runs have read each directory.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

const statements = [
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
];
