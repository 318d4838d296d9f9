// The guard's statement for TOTP codes that arrive together (guard-batch-table.ts), for those that were compared with a remembered
// authenticator: it spends only where the name still means that user, who is active, with that authenticator and that sealed secret.
// It tells who they are as well, and no more of them than the answer needs. Who is left out is looked up first, as ever.

import type { Database } from "../store/database.ts";
import { rowsOf, statementOf, unnested } from "../store/prepared.ts";
import { usernameKeyOf } from "../username.ts";
import { liveUsersSqlOf } from "../users/users-table.ts";
import type { SignedInUser, UserName } from "./answers.ts";
import {
  attemptBindings,
  attemptsSql,
  guardColumns,
  judgedSql,
  type StepAttempt,
} from "./guard-batch-table.ts";
import type { GuardOutcome } from "./guard-table.ts";

export interface NamedStepAttempt extends StepAttempt {
  /** As typed; it led to the user of the attempt when it was last looked up. */
  name: UserName;
  /** The authenticator's secret with which the code was compared. */
  sealed: Buffer;
  /** The configured ones: users of others sign in nowhere. */
  directories: readonly string[];
}

export interface SpentStep {
  outcome: GuardOutcome;
  user: SignedInUser;
  backupCodesRemaining: number;
}

/** In order; undefined for those of which nothing was judged. No user may be among them twice. */
export async function spendNamedSteps(
  db: Database,
  attempts: readonly NamedStepAttempt[],
): Promise<(SpentStep | undefined)[]> {
  const rows = await rowsOf<SpentRow>(db, spendNamedStepsStatement, {
    ...attemptBindings(attempts),
    usernameKeys: unnested(attempts.map(({ name }) => usernameKeyOf(name.username))),
    wantedDirectories: unnested(attempts.map(({ name }) => name.directory ?? null)),
    sealed: unnested(attempts.map(({ sealed }) => sealed)),
    // JSON, since an array of arrays must be rectangular.
    configured: unnested(attempts.map(({ directories }) => JSON.stringify(directories))),
  });
  const spent = new Array<SpentStep | undefined>(attempts.length).fill(undefined);
  for (const row of rows) {
    spent[Number(row.number) - 1] = {
      // No other user is judged.
      outcome: { outcome: row.outcome, state: "active", lockedUntil: row.locked_until },
      user: {
        ...{ id: row.id, username: row.username, displayName: row.display_name, email: row.email },
        directory: row.directory,
        groups: (row.groups ?? []).map((name) => ({ name })),
      },
      backupCodesRemaining: Number(row.remaining),
    };
  }
  return spent;
}

interface SpentRow {
  /** Of the attempt, from 1. */
  number: string;
  outcome: GuardOutcome["outcome"];
  locked_until: Date | null;
  id: string;
  username: string;
  display_name: string | null;
  email: string | null;
  directory: string;
  /** Names, null where there are none. */
  groups: string[] | null;
  remaining: string;
}

// The name must mean one live user whichever way; everything else, as a name in two directories, is for `chooseNamedUser`.
const spendNamedStepsStatement = statementOf(`
  with guard as materialized (
    select ${guardColumns}
    from ${attemptsSql({
      arrays: ":usernameKeys::text[], :wantedDirectories::text[], :sealed::bytea[], :configured::jsonb[]",
      columns: "username_key, wanted_directory, sealed, configured",
    })}
    join users u on u.id = t.user_id
    join authenticators a on a.id = t.authenticator_id and a.user_id = t.user_id
    join lockouts l on l.user_id = t.user_id and l.method = 'totp'
    where a.state = t.wanted and a.sealed = t.sealed and u.state = 'active' and t.configured ? u.directory
      and array(${liveUsersSqlOf({ key: "t.username_key", directory: "t.wanted_directory", columns: ["n.id", "n.id"] })}) = array[u.id]
    for no key update of l, a skip locked
  ), ${judgedSql}
  select answer.number, answer.outcome, answer.locked_now as locked_until,
    u.id, u.username, u.display_name, u.email, u.directory,
    (select json_agg(g.name order by g.name) from user_groups ug join groups g on g.id = ug.group_id where ug.user_id = u.id) as groups,
    (select count(*) from backup_codes c
     where c.set_id = (select s.id from backup_code_sets s where s.authenticator_id = answer.authenticator_id)
       and c.spent_at is null) as remaining
  from answer join users u on u.id = answer.user_id`);
