// Seals and the gaps between sealed ids. Seals are added, and read together with the events they seal. anchors-table.ts
// cuts them off.

import type { Database, Transaction } from "../store/database.ts";
import { rawRows } from "../store/raw-rows.ts";
import type { ChainPoint, Seal, SealableEvent, SealedEvent } from "./chain.ts";
import { genesisMac } from "./chain.ts";
import type { Gap } from "./gaps.ts";

const timeText = (column: string) => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

const eventColumns = `e.id, ${timeText("e.at")} as at, e.actor, e.via, e.action,
  e.user_id, e.directory, e.outcome, e.details::text as details, e.request_id`;

// Those that were cut off included.
const highestSealed =
  "greatest((select max(event_id) from audit_seals), (select max(highest_event_id) from audit_anchors))";

interface EventRow {
  id: string;
  at: string;
  actor: string;
  via: string;
  action: string;
  user_id: string | null;
  directory: string | null;
  outcome: string;
  details: string;
  request_id: string | null;
}

function eventOf({ user_id: userId, request_id: requestId, ...row }: EventRow): SealableEvent {
  return { ...row, userId, requestId };
}

/** Events above every id that was sealed, in the order of ids. */
export async function listNewEvents(db: Database, highest: string, limit: number): Promise<SealableEvent[]> {
  const rows = await rawRows<EventRow>(
    db,
    `select ${eventColumns} from audit_events e where e.id > :highest order by e.id limit :limit`,
    { highest, limit },
  );
  return rows.map(eventOf);
}

/** Events that committed after later ones had been sealed. */
export async function listLateEvents(db: Database, limit: number): Promise<SealableEvent[]> {
  const rows = await rawRows<EventRow>(
    db,
    // Gap by gap. As a plain join PostgreSQL may read all events in the order of their ids, since gaps are few.
    // An event that is sealed already is left out, whatever the gaps say: no MAC protects the gaps.
    `select ${eventColumns} from audit_gaps g cross join lateral (
       select * from audit_events where id between g.first_id and g.last_id order by id limit :limit
     ) e
     where not exists (select from audit_seals s where s.event_id = e.id)
     order by e.id limit :limit`,
    { limit },
  );
  return rows.map(eventOf);
}

export interface ChainHead extends ChainPoint {
  /** The highest id that was sealed; not that of the last seal where an event came late. */
  highestEventId: string;
}

/** The end of the chain; position 0 where there is none yet. */
export async function findChainHead(db: Database): Promise<ChainHead> {
  const rows = await rawRows<{ position: string; chain_mac: Buffer; highest: string }>(
    db,
    `select position, chain_mac, ${highestSealed} as highest
     from audit_seals order by position desc limit 1`,
  );
  const [row] = rows;
  if (!row) return { position: "0", chainMac: genesisMac, highestEventId: "0" };
  return { position: row.position, chainMac: row.chain_mac, highestEventId: row.highest };
}

export async function insertSeals(trx: Transaction, seals: readonly Seal[]): Promise<void> {
  await trx.raw(
    `insert into audit_seals (position, event_id, event_mac, chain_mac, version, sealed_at)
     select position, event_id, decode(event_mac, 'hex'), decode(chain_mac, 'hex'), version, sealed_at
     from unnest(:positions::bigint[], :eventIds::bigint[], :eventMacs::text[], :chainMacs::text[],
         :versions::smallint[], :sealedAts::timestamptz[])
       s (position, event_id, event_mac, chain_mac, version, sealed_at)`,
    {
      versions: seals.map((seal) => seal.version),
      sealedAts: seals.map((seal) => seal.sealedAt),
      positions: seals.map((seal) => seal.position),
      eventIds: seals.map((seal) => seal.eventId),
      eventMacs: seals.map((seal) => seal.eventMac.toString("hex")),
      chainMacs: seals.map((seal) => seal.chainMac.toString("hex")),
    },
  );
}

/** Without `noticedAt`, noticed now. */
export async function insertGaps(trx: Transaction, gaps: readonly Gap[], noticedAt?: Date): Promise<void> {
  await trx.raw(
    `insert into audit_gaps (first_id, last_id, noticed_at)
     select first_id, last_id, coalesce(:noticedAt::timestamptz, clock_timestamp())
     from unnest(:firstIds::bigint[], :lastIds::bigint[]) g (first_id, last_id)`,
    {
      firstIds: gaps.map((gap) => String(gap.firstId)),
      lastIds: gaps.map((gap) => String(gap.lastId)),
      noticedAt: noticedAt ?? null,
    },
  );
}

export async function listGaps(db: Database): Promise<Gap[]> {
  const rows = await rawRows<{ first_id: string; last_id: string }>(
    db,
    "select first_id, last_id from audit_gaps order by first_id",
  );
  return rows.map((row) => ({ firstId: BigInt(row.first_id), lastId: BigInt(row.last_id) }));
}

// Events wait for their seal for seconds. Where nothing seals for long, the latest ids are the ones that matter.
const unsealedIdsLookedAt = 10_000;

/** Ids up to one, without an event, whose transaction may still commit. */
export async function listOpenGaps(
  db: Database,
  wanted: { upTo: string; noticedWithinMs: number },
): Promise<Gap[]> {
  const rows = await rawRows<{ first_id: string; last_id: string }>(
    db,
    `with sealed as (
       select greatest(coalesce(${highestSealed}, 0), :upTo::bigint - ${unsealedIdsLookedAt}) as id
     )
     -- Without the ids whose events have come and wait for their seal.
     select before + 1 as first_id, id - 1 as last_id from (
       select p.id, lag(p.id) over (partition by g.first_id order by p.id) as before
       from audit_gaps g cross join lateral (
         select g.first_id - 1 as id
         union all select e.id from audit_events e where e.id between g.first_id and least(g.last_id, :upTo::bigint)
         union all select least(g.last_id, :upTo::bigint) + 1
       ) p
       where g.first_id <= :upTo
         and g.noticed_at > clock_timestamp() - :noticedWithinMs * interval '1 millisecond'
     ) pairs where id > before + 1
     union all
     select before + 1, id - 1 from (
       select e.id, lag(e.id, 1, sealed.id) over (order by e.id) as before
       from audit_events e, sealed where e.id > sealed.id and e.id <= :upTo
     ) pairs where id > before + 1
     order by first_id`,
    wanted,
  );
  return rows.map((row) => ({ firstId: BigInt(row.first_id), lastId: BigInt(row.last_id) }));
}

/** Puts what is left of a gap in its place; the parts keep its age. */
export async function replaceGap(trx: Transaction, gap: Gap, left: readonly Gap[]): Promise<void> {
  const rows = await rawRows<{ noticed_at: Date }>(
    trx,
    "delete from audit_gaps where first_id = :firstId returning noticed_at",
    { firstId: String(gap.firstId) },
  );
  const noticedAt = rows[0]?.noticed_at;
  if (noticedAt) await insertGaps(trx, left, noticedAt);
}

/** Forgets gaps that no transaction can fill any more. */
export async function deleteOldGaps(trx: Transaction, olderThanMs: number): Promise<void> {
  await trx.raw(
    "delete from audit_gaps where noticed_at < clock_timestamp() - :olderThanMs * interval '1 millisecond'",
    { olderThanMs },
  );
}

interface SealedRow extends Omit<EventRow, "id"> {
  /** Null where there is no such event; then so is the rest of the event. */
  id: string | null;
  position: string;
  event_id: string;
  event_mac: Buffer;
  chain_mac: Buffer;
  version: 1 | 2;
  sealed_at: string;
}

/** Seals after a position with their events, in the order of positions. */
export async function listSealedEvents(db: Database, after: string, limit: number): Promise<SealedEvent[]> {
  const rows = await rawRows<SealedRow>(
    db,
    `select s.position, s.event_id, s.event_mac, s.chain_mac, s.version, ${timeText("s.sealed_at")} as sealed_at,
       ${eventColumns}
     from audit_seals s left join audit_events e on e.id = s.event_id
     where s.position > :after order by s.position limit :limit`,
    { after, limit },
  );
  return rows.map((row) => {
    const { position, event_id: eventId, event_mac: eventMac, chain_mac: chainMac, ...rest } = row;
    const { version, sealed_at: sealedAt, id, ...event } = rest;
    return {
      seal: { position, eventId, eventMac, chainMac, version, sealedAt },
      event: id === null ? undefined : eventOf({ id, ...event }),
    };
  });
}

/** An event without a seal: a `waiting` one is new or late, any other cannot have come by an ordinary way. */
export interface UnsealedEvent {
  id: string;
  at: Date;
  waiting: boolean;
}

export async function listUnsealedEvents(db: Database, limit: number): Promise<UnsealedEvent[]> {
  const rows = await rawRows<UnsealedEvent>(
    db,
    `select e.id, e.at,
       e.id > coalesce(${highestSealed}, 0)
         or exists (select from audit_gaps g where e.id between g.first_id and g.last_id) as waiting
     from audit_events e
     where not exists (select from audit_seals s where s.event_id = e.id)
     order by e.id limit :limit`,
    { limit },
  );
  return rows;
}

/** The time that the oldest event names that waits for its seal; undefined when none waits. */
export async function findOldestWaiting(db: Database): Promise<Date | undefined> {
  const rows = await rawRows<{ at: Date | null }>(
    db,
    `select least(
       (select min(at) from audit_events where id > coalesce(${highestSealed}, 0)),
       (select min(e.at) from audit_gaps g join audit_events e on e.id between g.first_id and g.last_id
        where not exists (select from audit_seals s where s.event_id = e.id))
     ) as at`,
  );
  return rows[0]?.at ?? undefined;
}

/** Ids after `after` that no event has though a later one is sealed, in order. */
export async function listMissingIds(db: Database, after: string, limit: number): Promise<Gap[]> {
  const rows = await rawRows<{ first_id: string; last_id: string }>(
    db,
    `select before + 1 as first_id, id - 1 as last_id from (
       select id, lag(id, 1, :after::bigint) over (order by id) as before from (
         select event_id as id from audit_seals where event_id > :after
         union select id from audit_events where id > :after and id < (select max(event_id) from audit_seals)
       ) known
     ) pairs
     where id > before + 1 order by id limit :limit`,
    { after, limit },
  );
  return rows.map((row) => ({ firstId: BigInt(row.first_id), lastId: BigInt(row.last_id) }));
}

/** The seal at a position, for comparing with a head that was noted outside the database. */
export async function findChainMac(db: Database, position: string): Promise<Buffer | undefined> {
  const rows = await rawRows<{ chain_mac: Buffer }>(
    db,
    "select chain_mac from audit_seals where position = :position",
    { position },
  );
  return rows[0]?.chain_mac;
}
