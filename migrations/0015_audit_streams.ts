// How far the event stream has got: in the database, so that whichever replica goes on goes on from there.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  await trx.raw(`create table audit_streams (
    name text not null,
    -- Of the last seal whose event was taken by the receiver; 0 before the first.
    position bigint not null default 0,
    changed_at timestamptz not null default clock_timestamp(),
    constraint audit_streams_pkey primary key (name),
    constraint audit_streams_position_positive check (position >= 0)
  )`);
}
