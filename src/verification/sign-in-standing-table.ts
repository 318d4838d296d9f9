// Where users stand for a sign-in's decision: of what standing-table.ts reads no more than the decision and its answer need, in the columns
// that cost PostgreSQL least. It is the statement that is asked most.

import type { Database } from "../store/database.ts";
import { rowsOf, statementOf, unnested } from "../store/prepared.ts";
import { isUsableUsername, usernameKeyOf } from "../username.ts";
import { chooseNamedUser, type NamedUser, type User, type UserGroup, type UserState } from "../users/user.ts";
import { candidatesSqlOf, policyOf } from "../users/users-table.ts";
import type { Method, UserName } from "./answers.ts";
import type { Authenticator, BackupCodeSet, Standing } from "./standing-table.ts";

export interface SignInUser
  extends Pick<
    User,
    | "id"
    | "directory"
    | "username"
    | "displayName"
    | "email"
    | "state"
    | "policyRequires"
    | "requiredNewUser"
    | "requiredByAdmin"
    | "enrollmentDeadline"
    | "removedAt"
  > {
  groups: readonly Pick<UserGroup, "name" | "required">[];
}

/** A `Standing` is one too. */
export interface SignInStanding extends Pick<Standing, "now"> {
  user: SignInUser;
  authenticator: Pick<Authenticator, "id" | "keyId" | "sealed"> | undefined;
  backupCodes: Pick<BackupCodeSet, "remaining"> | undefined;
  lockouts: Record<Method, { lockedUntil: Date | null }>;
}

export type NamedSignInStanding =
  | { kind: "user"; standing: SignInStanding }
  | { kind: "unknown" }
  | { kind: "ambiguous"; directories: string[] };

/** Whom each sign-in name means (rule 3), and where they stand; in the order of the names. */
export async function findSignInStandings(
  db: Database,
  names: readonly UserName[],
): Promise<NamedSignInStanding[]> {
  // No user has such a name, and PostgreSQL refuses text with a null character.
  const usable = names.map(
    ({ username, directory }) => isUsableUsername(username) && !directory?.includes("\0"),
  );
  const rows = await rowsOf<Row>(db, statement, {
    usernameKeys: unnested(
      names.map(({ username }, index) => (usable[index] ? usernameKeyOf(username) : null)),
    ),
    directories: unnested(names.map(({ directory }, index) => (usable[index] ? (directory ?? null) : null))),
  });
  const byNumber = Map.groupBy(rows, ({ number }) => Number(number));
  return names.map((_, index) => choose(byNumber.get(index + 1) ?? []));
}

function choose(rows: readonly Row[]): NamedSignInStanding {
  const standings = rows.map((row) => ({ match: row.match, ...standingOf(row) }));
  const match = chooseNamedUser(standings);
  if (match.kind !== "user") return match;
  const standing = standings.find(({ user }) => user === match.user);
  return standing ? { kind: "user", standing } : { kind: "unknown" };
}

// A key that is null means nobody.
const statement = statementOf(`
  select name.number, clock_timestamp() as now, u.*, a.id as authenticator_id, a.key_id, a.sealed,
    totp.locked_until as totp_locked_until, backup.locked_until as backup_locked_until,
    (select json_agg(json_build_object('name', g.name, 'required', g.required_as <> '{}') order by g.name)
     from user_groups ug join groups g on g.id = ug.group_id where ug.user_id = u.id) as groups,
    (select json_build_object('organization', p.organization, 'directories', p.directories, 'enrollmentPass', p.enrollment_pass)
     from mfa_policy p) as policy,
    (select count(*) from backup_codes c
     where c.set_id = (select s.id from backup_code_sets s where s.authenticator_id = a.id) and c.spent_at is null) as remaining
  from unnest(:usernameKeys::text[], :directories::text[]) with ordinality as name (key, directory, number)
  cross join lateral (${candidatesSqlOf({
    ...{ key: "name.key", directory: "name.directory" },
    columns: `n.id, n.directory, n.username, n.display_name, n.email, n.state, n.required_new_user, n.required_by_admin,
      n.enrollment_deadline, n.removed_at`,
  })}) u
  left join authenticators a on a.user_id = u.id and a.state = 'active'
  left join lockouts totp on totp.user_id = u.id and totp.method = 'totp'
  left join lockouts backup on backup.user_id = u.id and backup.method = 'backup-code'`);

interface Row {
  /** Of the name, from 1. */
  number: string;
  match: NamedUser["match"];
  now: Date;
  id: string;
  directory: string;
  username: string;
  display_name: string | null;
  email: string | null;
  state: UserState;
  required_new_user: boolean;
  required_by_admin: boolean | null;
  enrollment_deadline: Date | null;
  removed_at: Date | null;
  authenticator_id: string | null;
  key_id: string | null;
  sealed: Buffer | null;
  totp_locked_until: Date | null;
  backup_locked_until: Date | null;
  groups: { name: string; required: boolean }[] | null;
  /** The same for all; null where none is in force. */
  policy: { organization: boolean; directories: string[]; enrollmentPass: boolean } | null;
  remaining: string;
}

function standingOf(row: Row): SignInStanding {
  const { authenticator_id: id, key_id: keyId, sealed, policy, directory } = row;
  const isEnrolled = id !== null && keyId !== null && sealed !== null;
  return {
    user: {
      ...{ id: row.id, directory, username: row.username, displayName: row.display_name, email: row.email },
      state: row.state,
      groups: row.groups ?? [],
      policyRequires: policyOf(
        policy && {
          organization: policy.organization,
          directory: policy.directories.includes(directory),
          enrollmentPass: policy.enrollmentPass,
        },
      ),
      requiredNewUser: row.required_new_user,
      requiredByAdmin: row.required_by_admin,
      enrollmentDeadline: row.enrollment_deadline,
      removedAt: row.removed_at,
    },
    now: row.now,
    authenticator: isEnrolled ? { id, keyId, sealed } : undefined,
    backupCodes: isEnrolled ? { remaining: Number(row.remaining) } : undefined,
    lockouts: {
      totp: { lockedUntil: row.totp_locked_until },
      "backup-code": { lockedUntil: row.backup_locked_until },
    },
  };
}
