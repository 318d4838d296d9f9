// Where a user stands with MFA, read in one statement: the user, authenticator, pending enrollment, backup codes, lockouts
// and the database's time. Every flow starts from this; what is decided on it is checked again by the statement that writes.

import type { Database, Transaction } from "../store/database.ts";
import { rowsOf, statementOf } from "../store/prepared.ts";
import type { User } from "../users/user.ts";
import { holdUser, namedUsersSqlOf, type UserRow, userColumns, userOf } from "../users/users-table.ts";
import type { GuardedKind, UserName } from "./answers.ts";
import { type Named, type NamedRow, nameBindings, standingsOfNames } from "./named-standings.ts";

export interface Authenticator {
  id: string;
  state: "pending" | "active";
  keyId: string;
  sealed: Buffer;
  /** When it was confirmed; null while pending. */
  confirmedAt: Date | null;
  /** Until when it can be confirmed; null once active. */
  expiresAt: Date | null;
  /** While pending: the id of the active authenticator it was begun to replace; null when there was none. */
  replaces: string | null;
  /** It was begun with an enrollment pass. */
  withPass: boolean;
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
  lockouts: Record<GuardedKind, { failures: number; lockedUntil: Date | null }>;
}

export type NamedStanding = Named<Standing>;

// Subselects that give JSON, and not joins: planning five outer joins takes PostgreSQL three times as long as running them.
const standingColumns = `clock_timestamp() as now,
  (select json_agg(json_build_object('id', a.id, 'state', a.state, 'keyId', a.key_id, 'sealed', encode(a.sealed, 'hex'),
      'confirmedAt', a.confirmed_at, 'expiresAt', a.expires_at, 'replaces', a.replaces, 'withPass', a.with_pass,
      'backupCodes', (select json_build_object('id', s.id, 'kdf', s.kdf, 'salt', encode(s.salt, 'hex'), 'keyId', s.key_id,
          'sealed', encode(s.sealed, 'hex'),
          'remaining', (select count(*) from backup_codes c where c.set_id = s.id and c.spent_at is null))
        from backup_code_sets s where s.authenticator_id = a.id)))
    from authenticators a where a.user_id = u.id) as authenticators,
  (select json_agg(json_build_object('method', l.method, 'failures', l.failures, 'lockedUntil', l.locked_until))
    from lockouts l where l.user_id = u.id) as lockouts`;

/** Whom a sign-in name means (rule 3), and where they stand. */
export async function findStandingByName(db: Database, name: UserName): Promise<NamedStanding> {
  const [standing] = await findStandingsByName(db, [name]);
  return standing ?? { kind: "unknown" };
}

/** The same for several names, in their order, in one statement. */
export async function findStandingsByName(
  db: Database,
  names: readonly UserName[],
): Promise<NamedStanding[]> {
  const rows = await rowsOf<NamedRow & StandingRow>(db, standingsByName, nameBindings(names));
  return standingsOfNames(names.length, rows, standingOf);
}

const standingsByName = statementOf(
  `select name.number, named.match, ${userColumns}, ${standingColumns}
   from unnest(:usernameKeys::text[], :directories::text[]) with ordinality as name (key, directory, number)
   cross join lateral (${namedUsersSqlOf({ key: "name.key", directory: "name.directory" })}) named
   join users u on u.id = named.id`,
);

export async function findStanding(db: Database, userId: string): Promise<Standing | undefined> {
  const [row] = await rowsOf<StandingRow>(db, standingById, { userId });
  return row && standingOf(row);
}

const standingById = statementOf(
  `select ${userColumns}, ${standingColumns} from users u where u.id = :userId`,
);

/**
 * Takes the user's lock, and reads where they stand now: it stays so to the end of the transaction, but for what
 * verifications spend and count. `unknown` when the user was purged. Two statements, since one would answer with
 * what was there before it waited.
 */
export async function holdStanding(trx: Transaction, userId: string): Promise<NamedStanding> {
  const standing = (await holdUser(trx, userId)) ? await findStanding(trx, userId) : undefined;
  return standing ? { kind: "user", standing } : { kind: "unknown" };
}

/** In JSON, so bytes are hex and times are text. */
interface StandingRow extends UserRow {
  now: Date;
  authenticators: AuthenticatorJson[] | null;
  lockouts: { method: GuardedKind; failures: number; lockedUntil: string | null }[] | null;
}

interface AuthenticatorJson {
  id: string;
  state: "pending" | "active";
  keyId: string;
  sealed: string;
  confirmedAt: string | null;
  expiresAt: string | null;
  replaces: string | null;
  withPass: boolean;
  backupCodes: {
    id: string;
    kdf: string;
    salt: string;
    keyId: string;
    sealed: string;
    remaining: number;
  } | null;
}

function standingOf(row: StandingRow): Standing {
  const active = row.authenticators?.find(({ state }) => state === "active");
  const pending = row.authenticators?.find(({ state }) => state === "pending");
  return {
    user: userOf(row),
    now: row.now,
    authenticator: active && authenticatorOf(active),
    pending: pending && authenticatorOf(pending),
    backupCodes: active?.backupCodes ? backupCodesOf(active.backupCodes) : undefined,
    lockouts: {
      totp: lockoutOf(row, "totp"),
      "backup-code": lockoutOf(row, "backup-code"),
      "enrollment-pass": lockoutOf(row, "enrollment-pass"),
    },
  };
}

function authenticatorOf(json: AuthenticatorJson): Authenticator {
  const { id, state, keyId, replaces, withPass } = json;
  const [confirmedAt, expiresAt] = [timeOf(json.confirmedAt), timeOf(json.expiresAt)];
  return {
    id,
    state,
    keyId,
    sealed: Buffer.from(json.sealed, "hex"),
    confirmedAt,
    expiresAt,
    replaces,
    withPass,
  };
}

function backupCodesOf(json: NonNullable<AuthenticatorJson["backupCodes"]>): BackupCodeSet {
  return { ...json, salt: Buffer.from(json.salt, "hex"), sealed: Buffer.from(json.sealed, "hex") };
}

function lockoutOf(row: StandingRow, method: GuardedKind): Standing["lockouts"][GuardedKind] {
  const lockout = row.lockouts?.find((candidate) => candidate.method === method);
  return { failures: lockout?.failures ?? 0, lockedUntil: timeOf(lockout?.lockedUntil ?? null) };
}

function timeOf(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}
