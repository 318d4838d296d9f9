// Where users stand for a sign-in's decision: of what standing-table.ts reads no more than the decision and its answer need, in the columns
// that cost PostgreSQL least. It is the statement that is asked most.

import type { Database } from "../store/database.ts";
import { rowsOf, statementOf } from "../store/prepared.ts";
import type { User, UserGroup, UserState } from "../users/user.ts";
import { candidatesSqlOf, policyOf } from "../users/users-table.ts";
import type { Method, UserName } from "./answers.ts";
import { type Named, type NamedRow, nameBindings, standingsOfNames } from "./named-standings.ts";
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

export type NamedSignInStanding = Named<SignInStanding>;

/** Whom each sign-in name means (rule 3), and where they stand; in the order of the names. */
export async function findSignInStandings(
  db: Database,
  names: readonly UserName[],
): Promise<NamedSignInStanding[]> {
  const rows = await rowsOf<Row>(db, statement, nameBindings(names));
  return standingsOfNames(names.length, rows, standingOf);
}

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

interface Row extends NamedRow {
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
