// A begun enrollment remembers which authenticator it replaces, so that it can replace no other (rule 14).

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

const statements = [
  // Null: none was active. No foreign key: what is gone must stay remembered, or the enrollment would look like a first one.
  // Enrollments begun before this migration keep null: one that replaces an authenticator has to be begun again.
  "alter table authenticators add column replaces uuid",
  `alter table authenticators add constraint authenticators_replaces_while_pending
    check (state = 'pending' or replaces is null)`,
];
