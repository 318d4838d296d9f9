// Where a user stands with MFA, read in one statement: the user, authenticator, pending enrollment, backup codes, lockouts
// and the database's time. Every flow starts from this; what is decided on it is checked again by the statement that writes.

import type { Database } from "../store/database.ts";
import { usernameKeyOf } from "../username.ts";
import { chooseNamedUser, type NamedUser, type User } from "../users/user.ts";
import { namedUsersSql, type UserRow, userColumns, userOf } from "../users/users-table.ts";
import type { Method, UserName } from "./answers.ts";

export interface Authenticator {
  id: string;
  state: "pending" | "active";
  keyId: string;
  sealed: Buffer;
  /** When it was confirmed; null while pending. */
  confirmedAt: Date | null;
  /** Until when it can be confirmed; null once active. */
  expiresAt: Date | null;
}

export interface BackupCodeSet {
  id: string;
  kdf: string;
  salt: Buffer;
  keyId: string;
  sealed: Buffer;
  remaining: number;
}

export interface Standing {
  user: User;
  /** The database's clock. */
  now: Date;
  authenticator: Authenticator | undefined;
  pending: Authenticator | undefined;
  backupCodes: BackupCodeSet | undefined;
  /** Per kind: consecutive failures, and until when the kind is locked. In the past means not locked any more. */
  lockouts: Record<Method, { failures: number; lockedUntil: Date | null }>;
}

export type NamedStanding =
  | { kind: "user"; standing: Standing }
  | { kind: "unknown" }
  | { kind: "ambiguous"; directories: string[] };

const standingColumns = `clock_timestamp() as now,
  a.id as a_id, a.key_id as a_key_id, a.sealed as a_sealed, a.confirmed_at as a_confirmed_at,
  p.id as p_id, p.key_id as p_key_id, p.sealed as p_sealed, p.expires_at as p_expires_at,
  s.id as s_id, s.kdf as s_kdf, s.salt as s_salt, s.key_id as s_key_id, s.sealed as s_sealed,
  (select count(*)::int from backup_codes c where c.set_id = s.id and c.spent_at is null) as s_remaining,
  t.failures as t_failures, t.locked_until as t_locked_until,
  b.failures as b_failures, b.locked_until as b_locked_until`;

const standingJoins = `
  left join authenticators a on a.user_id = u.id and a.state = 'active'
  left join authenticators p on p.user_id = u.id and p.state = 'pending'
  left join backup_code_sets s on s.authenticator_id = a.id
  left join lockouts t on t.user_id = u.id and t.method = 'totp'
  left join lockouts b on b.user_id = u.id and b.method = 'backup-code'`;

/** Whom a sign-in name means (rule 3), and where they stand. */
export async function findStandingByName(db: Database, name: UserName): Promise<NamedStanding> {
  const { rows } = await db.raw<{ rows: (StandingRow & { match: NamedUser["match"] })[] }>(
    `select named.match, ${userColumns}, ${standingColumns}
     from (${namedUsersSql}) named join users u on u.id = named.id ${standingJoins}`,
    { usernameKey: usernameKeyOf(name.username), directory: name.directory ?? null },
  );
  const standings = rows.map((row) => ({ match: row.match, ...standingOf(row) }));
  const match = chooseNamedUser(standings);
  if (match.kind !== "user") return match;
  const standing = standings.find(({ user }) => user === match.user);
  return standing ? { kind: "user", standing } : { kind: "unknown" };
}

export async function findStanding(db: Database, userId: string): Promise<Standing | undefined> {
  const { rows } = await db.raw<{ rows: StandingRow[] }>(
    `select ${userColumns}, ${standingColumns} from users u ${standingJoins} where u.id = :userId`,
    { userId },
  );
  return rows[0] && standingOf(rows[0]);
}

interface StandingRow extends UserRow {
  now: Date;
  a_id: string | null;
  a_key_id: string;
  a_sealed: Buffer;
  a_confirmed_at: Date;
  p_id: string | null;
  p_key_id: string;
  p_sealed: Buffer;
  p_expires_at: Date;
  s_id: string | null;
  s_kdf: string;
  s_salt: Buffer;
  s_key_id: string;
  s_sealed: Buffer;
  s_remaining: number;
  t_failures: number | null;
  t_locked_until: Date | null;
  b_failures: number | null;
  b_locked_until: Date | null;
}

function standingOf(row: StandingRow): Standing {
  return {
    user: userOf(row),
    now: row.now,
    authenticator: activeOf(row),
    pending: pendingOf(row),
    backupCodes: backupCodesOf(row),
    lockouts: {
      totp: { failures: row.t_failures ?? 0, lockedUntil: row.t_locked_until },
      "backup-code": { failures: row.b_failures ?? 0, lockedUntil: row.b_locked_until },
    },
  };
}

function activeOf(row: StandingRow): Authenticator | undefined {
  if (row.a_id === null) return undefined;
  const { a_id: id, a_key_id: keyId, a_sealed: sealed, a_confirmed_at: confirmedAt } = row;
  return { id, state: "active", keyId, sealed, confirmedAt, expiresAt: null };
}

function pendingOf(row: StandingRow): Authenticator | undefined {
  if (row.p_id === null) return undefined;
  const { p_id: id, p_key_id: keyId, p_sealed: sealed, p_expires_at: expiresAt } = row;
  return { id, state: "pending", keyId, sealed, confirmedAt: null, expiresAt };
}

function backupCodesOf(row: StandingRow): BackupCodeSet | undefined {
  if (row.s_id === null) return undefined;
  const {
    s_id: id,
    s_kdf: kdf,
    s_salt: salt,
    s_key_id: keyId,
    s_sealed: sealed,
    s_remaining: remaining,
  } = row;
  return { id, kdf, salt, keyId, sealed, remaining };
}
