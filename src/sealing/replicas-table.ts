// Which daemons run, and the check values of the sealing keys that each of them can use. Each writes its own row.

import type { Database } from "../store/database.ts";
import { rawRows } from "../store/raw-rows.ts";

/** By key id, the check value in hex. */
export type KeyCheckValues = Readonly<Record<string, string>>;

export async function upsertReplica(
  db: Database,
  replica: { holder: string; keys: KeyCheckValues },
): Promise<void> {
  await db.raw(
    `insert into replicas (holder, keys) values (:holder, :keys::jsonb)
     on conflict (holder) do update set keys = excluded.keys, seen_at = clock_timestamp()`,
    { holder: replica.holder, keys: JSON.stringify(replica.keys) },
  );
}

export async function deleteReplica(db: Database, holder: string): Promise<void> {
  await db("replicas").where({ holder }).delete();
}

/** Forgets replicas that have not been seen for this long: their processes ended without signing off. */
export async function deleteLostReplicas(db: Database, olderThanMs: number): Promise<void> {
  await db.raw(
    "delete from replicas where seen_at < clock_timestamp() - :olderThanMs * interval '1 millisecond'",
    {
      olderThanMs,
    },
  );
}

/** The replicas seen within that time that cannot use this key, or have another one under its id. */
export async function listReplicasWithoutKey(
  db: Database,
  wanted: { keyId: string; checkValue: string; seenWithinMs: number },
): Promise<string[]> {
  const rows = await rawRows<{ holder: string }>(
    db,
    `select holder from replicas
     where seen_at > clock_timestamp() - :seenWithinMs * interval '1 millisecond'
       and keys ->> :keyId is distinct from :checkValue
     order by holder`,
    wanted,
  );
  return rows.map(({ holder }) => holder);
}
