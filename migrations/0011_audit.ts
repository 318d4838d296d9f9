// The request of each audit event, the time of a seal under its MAC, cutting off old events with an anchor that the chain
// goes on from, and which sealing keys each replica has.

import type { Knex } from "knex";

export async function up(trx: Knex.Transaction): Promise<void> {
  for (const statement of statements) await trx.raw(statement);
}

const statements = [
  // Null in events of earlier versions.
  "alter table audit_events add column request_id text",

  // What the MACs are made over: 1 without request and time of sealing, 2 with both.
  "alter table audit_seals add column version smallint not null default 1",
  "alter table audit_seals alter column version drop default",
  "alter table audit_seals add constraint audit_seals_version_known check (version in (1, 2))",
  // An event and its seal are cut off together.
  "alter table audit_seals alter constraint audit_seals_event deferrable initially immediate",

  // Where the chain goes on after its beginning was cut off: the last seal that went.
  `create table audit_anchors (
    position bigint not null,
    chain_mac bytea not null,
    -- The highest id that was cut off: a missing id up to here is no gap.
    highest_event_id bigint not null,
    cut_at timestamptz not null,
    mac bytea not null,
    constraint audit_anchors_pkey primary key (position),
    constraint audit_anchors_position_positive check (position > 0)
  )`,

  // Still append-only, but for what an anchor stands for.
  "drop trigger audit_events_append_only on audit_events",
  "drop trigger audit_seals_append_only on audit_seals",
  ...["audit_events", "audit_seals"].map(
    (table) => `create trigger ${table}_append_only before update or truncate on ${table}
      for each statement execute function refuse_change()`,
  ),
  `create trigger audit_anchors_append_only before update or delete or truncate on audit_anchors
     for each statement execute function refuse_change()`,
  `create function refuse_delete_of_uncut_event() returns trigger language plpgsql as $$
  begin
    if exists (
      select from audit_seals s
      where s.event_id = old.id and s.position <= (select max(position) from audit_anchors)
    ) then return old; end if;
    raise exception 'table audit_events is append-only' using errcode = 'insufficient_privilege';
  end $$`,
  `create trigger audit_events_no_delete before delete on audit_events
     for each row execute function refuse_delete_of_uncut_event()`,
  `create function refuse_delete_of_uncut_seal() returns trigger language plpgsql as $$
  begin
    if old.position <= (select max(position) from audit_anchors) then return old; end if;
    raise exception 'table audit_seals is append-only' using errcode = 'insufficient_privilege';
  end $$`,
  `create trigger audit_seals_no_delete before delete on audit_seals
     for each row execute function refuse_delete_of_uncut_seal()`,

  // The only way to delete for a role that does not own the tables. It takes the beginning of the chain and nothing else,
  // never the last seal and nothing of the last day, whatever it is asked for. Only \`dirmfa audit verify\` can judge the MAC.
  `create function cut_audit(up_to bigint, at_time timestamptz, anchor_mac bytea) returns bigint
   language plpgsql security definer as $$
  declare
    cut bigint;
  begin
    if up_to >= (select max(position) from audit_seals) then
      raise exception 'the last seal stays' using errcode = 'insufficient_privilege';
    end if;
    if exists (
      select from audit_seals s join audit_events e on e.id = s.event_id
      where s.position <= up_to and e.at > clock_timestamp() - interval '1 day'
    ) then
      raise exception 'events of the last day stay' using errcode = 'insufficient_privilege';
    end if;
    insert into audit_anchors (position, chain_mac, highest_event_id, cut_at, mac)
    select up_to, s.chain_mac, greatest(
      (select max(event_id) from audit_seals where position <= up_to),
      (select max(highest_event_id) from audit_anchors)
    ), at_time, anchor_mac
    from audit_seals s where s.position = up_to;
    if not found then
      raise exception 'there is no such seal' using errcode = 'insufficient_privilege';
    end if;
    set constraints audit_seals_event deferred;
    delete from audit_events where id in (select event_id from audit_seals where position <= up_to);
    get diagnostics cut = row_count;
    delete from audit_seals where position <= up_to;
    set constraints audit_seals_event immediate;
    return cut;
  end $$`,
  "revoke execute on function cut_audit(bigint, timestamptz, bytea) from public",
  // Temporary tables are searched first unless told otherwise: anyone could put one of these names before the real table.
  `do $$
  declare
    signature text;
  begin
    foreach signature in array array[
      'cut_audit(bigint, timestamptz, bytea)', 'refuse_delete_of_uncut_event()', 'refuse_delete_of_uncut_seal()'
    ] loop
      execute format('alter function %s set search_path = %I, pg_temp', signature, current_schema());
    end loop;
  end $$`,

  // Which daemons run, and which sealing keys each can use: the check values by key id, as in sealing_keys.
  `create table replicas (
    holder text not null,
    seen_at timestamptz not null default clock_timestamp(),
    keys jsonb not null,
    constraint replicas_pkey primary key (holder)
  )`,
];
