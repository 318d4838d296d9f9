// Sessions of the console, kept by the hash of their token. All times are the database's.

import type { ConsoleRole } from "../config/config.ts";
import type { Database, Transaction } from "../store/database.ts";
import { rawRows } from "../store/raw-rows.ts";

/** After the password: a code is asked, an enrollment is possible, or nothing more is. */
export type Stage = "challenge" | "enroll" | "signed-in";

export interface StoredSession {
  userId: string;
  stage: Stage;
  /** Of `signed-in` alone: the authenticator that the code was of. */
  authenticatorId: string | null;
  /** Those at the sign-in. */
  roles: ConsoleRole[];
}

export async function insertSession(
  trx: Transaction,
  session: StoredSession & { tokenHash: Buffer; agentHash: Buffer; lastsMs: number },
): Promise<void> {
  await trx.raw(
    `insert into console_sessions (token_hash, user_id, stage, authenticator_id, roles, agent_hash, ends_at)
     values (:tokenHash, :userId, :stage, :authenticatorId, :roles::text[], :agentHash,
       clock_timestamp() + :lastsMs * interval '1 millisecond')`,
    { ...session },
  );
}

/** The session that lives under this token, from this browser; noted as seen now. */
export async function touchSession(
  db: Database,
  session: { tokenHash: Buffer; agentHash: Buffer; idleMs: number },
): Promise<StoredSession | undefined> {
  const rows = await rawRows<StoredSession>(
    db,
    `update console_sessions set seen_at = clock_timestamp()
     where token_hash = :tokenHash and agent_hash = :agentHash and ends_at > clock_timestamp()
       and seen_at > clock_timestamp() - :idleMs * interval '1 millisecond'
     returning user_id as "userId", stage, authenticator_id as "authenticatorId", roles`,
    session,
  );
  return rows[0];
}

export async function deleteSession(db: Database, tokenHash: Buffer): Promise<void> {
  await db("console_sessions").where({ token_hash: tokenHash }).delete();
}

/** In a backup that was restored there may be sessions that were ended since. */
export async function deleteEverySession(trx: Transaction): Promise<void> {
  await trx("console_sessions").delete();
}

/** Those that have ended by themselves, and of one user all but the newest few. */
export async function deleteOldSessions(
  trx: Transaction,
  old: { idleMs: number; userId: string; kept: number },
): Promise<void> {
  await trx.raw(
    `delete from console_sessions where ends_at <= clock_timestamp()
       or seen_at <= clock_timestamp() - :idleMs * interval '1 millisecond'
       or token_hash in (
         select token_hash from console_sessions where user_id = :userId order by began_at desc offset :kept
       )`,
    old,
  );
}
