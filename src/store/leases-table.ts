// Leases: who may do what only one process at a time may do, across all replicas (rule 9). Only the database's clock
// counts. Rows are never deleted, or tokens would start over and a holder of long ago could pass for the present one.

import { AppError } from "../errors.ts";
import type { Database, Transaction } from "./database.ts";
import { rawCount, rawRows } from "./raw-rows.ts";

export interface Lease {
  name: string;
  holder: string;
  /** A bigint as text; rises with every new holder. */
  token: string;
}

export type LeaseAttempt = { won: true; lease: Lease } | { won: false; holder: string; expiresAt: Date };

const ends = "clock_timestamp() + cast(:ttlMs as double precision) * interval '1 millisecond'";

/**
 * Takes the lease if nobody holds it or its holder let it expire, or if it would last longer than any holder asks for: then
 * it was parked by hand, or the database's clock was set back by more than an hour. Of any number of equal requests one
 * wins. Does not wait for the work of a present holder. The loser is told the last holder known, who is gone when `expiresAt` is past.
 */
export async function acquireLease(
  db: Database,
  wanted: { name: string; holder: string; ttlMs: number },
): Promise<LeaseAttempt> {
  // clock_timestamp(), since now() stands still in a transaction. A locked row is one whose holder is at work (see
  // requireLease), or that is being taken over.
  const rows = await rawRows<{ token: string }>(
    db,
    `with first as (
       insert into leases (name, holder, token, expires_at) values (:name, :holder, 1, ${ends})
       on conflict do nothing
       returning token
     ), next as (
       update leases set holder = :holder, token = token + 1, expires_at = ${ends}
       where name = (
         select name from leases
         where name = :name and (expires_at <= clock_timestamp() or expires_at > ${ends} + interval '1 hour')
         for update skip locked
       )
       returning token
     )
     select token from first union all select token from next`,
    wanted,
  );
  const token = rows[0]?.token;
  if (token !== undefined) return { won: true, lease: { name: wanted.name, holder: wanted.holder, token } };
  const row = await db("leases")
    .where({ name: wanted.name })
    .first<{ holder: string; expires_at: Date } | undefined>("holder", "expires_at");
  if (row === undefined) throw new Error(`lease ${wanted.name} is neither free nor held`);
  return { won: false, holder: row.holder, expiresAt: row.expires_at };
}

/** False: the lease has expired or has another holder, and whoever asked must stop. */
export async function renewLease(db: Database, lease: Lease, ttlMs: number): Promise<boolean> {
  const renewed = await rawCount(
    db,
    `update leases set expires_at = ${ends}
     where name = :name and token = :token and expires_at > clock_timestamp()`,
    { name: lease.name, token: lease.token, ttlMs },
  );
  return renewed === 1;
}

/** Lets the next one in at once. Nothing happens when the lease is no longer held. */
export async function releaseLease(db: Database, lease: Lease): Promise<void> {
  await db("leases")
    .where({ name: lease.name, token: lease.token })
    .where("expires_at", ">", db.raw("clock_timestamp()"))
    .update({ expires_at: db.raw("clock_timestamp()") });
}

/** True while a holder of this name keeps it; a holder that died holds on until the lease expires. */
export async function isLeaseHeld(db: Database, name: string): Promise<boolean> {
  const row = await db("leases")
    .where({ name })
    .where("expires_at", ">", db.raw("clock_timestamp()"))
    .first<{ name: string } | undefined>("name");
  return row !== undefined;
}

/**
 * Makes the transaction one of the lease's holder: nobody can take the lease over before it ends, even if it expires
 * meanwhile. Throws AppError `lease-lost` when it is lost already. Renewals wait for the transaction too.
 */
export async function requireLease(trx: Transaction, lease: Lease): Promise<void> {
  const row = await trx("leases")
    .where({ name: lease.name, token: lease.token })
    .where("expires_at", ">", trx.raw("clock_timestamp()"))
    .forUpdate()
    .first<{ name: string } | undefined>("name");
  if (row !== undefined) return;
  throw new AppError("lease-lost", `The lease ${lease.name} has expired or is held by another process.`, {
    fields: { lease: lease.name },
  });
}
