// How a plan is measured against the limits: one row of the plan is one count, by conditions that stand here in one table.

import type { Database, Transaction } from "../store/database.ts";
import {
  type EarlierRun,
  type Measured,
  type MeasureName,
  measureNames,
  nothingMeasured,
  type Share,
} from "./limits.ts";
import type { PlanRun } from "./plan-table.ts";

// Conditions on a `line` of a plan, and on `u`, the user as it is stored before the run.
const conditions: Record<MeasureName, (line: string) => string> = {
  removals: (line) => `${line}.action = 'remove' and u.state = 'active'`,
  allRemovals: (line) => `${line}.action = 'remove'`,
  disables: (line) => `${line}.action = 'disable'`,
  enables: (line) => `${line}.reasons @> array['enabled-in-directory']`,
  renames: (line) => `${line}.reasons @> array['username-changed']`,
  requirements: (line) => `${line}.reasons @> array['requirement-ended']`,
  newIds: (line) => `${line}.reasons @> array['known-username']`,
};

/** What the plan does. Of an approved run, what it does beyond the approved plan: to users to whom that did not do the same. */
export async function measurePlan(trx: Transaction, run: PlanRun): Promise<Measured> {
  const counts = measureNames.map((name) => {
    const counts = conditions[name];
    return `count(*) filter (where ${counts("c")} and (${counts("approved")}) is not true)::int as "${name}"`;
  });
  const { rows } = await trx.raw<{ rows: Measured[] }>(
    `select ${counts.join(", ")}
     from sync_changes c
     left join users u on u.id = c.user_id
     left join sync_changes approved on approved.run_id = :approvedPlan::uuid and approved.directory_id = c.directory_id
     where c.run_id = :id`,
    { ...run },
  );
  return rows[0] ?? nothingMeasured();
}

/** The runs of the last 24 hours that did something that is measured, oldest first. */
export async function listEarlierRuns(db: Database | Transaction, directory: string): Promise<EarlierRun[]> {
  const { rows } = await db.raw<{ rows: EarlierRun[] }>(
    `select r.measured, coalesce((
       select jsonb_agg(reason -> 'code') from sync_runs held cross join jsonb_array_elements(held.hold_reasons) reason
       where held.id = r.approves), '[]') as "approvedHolds"
     from sync_runs r
     where r.directory = :directory and r.started_at > now() - interval '48 hours'
       and r.finished_at > now() - interval '24 hours' and r.measured is not null
     order by r.finished_at`,
    { directory },
  );
  return rows;
}

export const noUsers: Record<Share, number> = { active: 0, disabled: 0, live: 0, required: 0 };

/** Stored users of the directory before the run. */
export async function countStoredUsers(trx: Transaction, run: PlanRun): Promise<Record<Share, number>> {
  const { rows } = await trx.raw<{ rows: Record<Share, number>[] }>(
    `select count(*) filter (where state = 'active')::int as active,
       count(*) filter (where state = 'disabled')::int as disabled, count(*)::int as live,
       count(*) filter (where required_since is not null)::int as required
     from users where directory = :directory and state <> 'removed'`,
    { ...run },
  );
  return rows[0] ?? noUsers;
}

/**
 * The bases, by the keys of their DNs, whose users the plan removes while nobody is left or comes there. A user that moved
 * from one to another is in the listing, and counts for the new one, also where the entry there cannot be used.
 */
export async function listEmptiedBases(
  trx: Transaction,
  run: PlanRun,
  baseKeys: string[],
): Promise<{ key: string; removals: number }[]> {
  const below = (dnKey: string) =>
    `(${dnKey} = base.key or right(${dnKey}, length(base.key) + 1) = ',' || base.key)`;
  const { rows } = await trx.raw<{ rows: { key: string; removals: number }[] }>(
    `select base.key, gone.removals
     from unnest(:baseKeys::text[]) as base (key)
     cross join lateral (
       select count(*)::int as removals from sync_changes c join users u on u.id = c.user_id
       where c.run_id = :id and c.action = 'remove' and ${below("u.dn_key")}
     ) gone
     where gone.removals > 0
       and not exists (select from staged_entries s where s.run_id = :id and ${below("s.dn_key")})
       and not exists (
         select from users u where u.directory = :directory and u.state <> 'removed' and ${below("u.dn_key")}
           and not exists (select from staged_entries s where s.run_id = :id and s.directory_id = u.directory_id)
           and not exists (
             select from sync_changes c where c.run_id = :id and c.directory_id = u.directory_id and c.action = 'remove')
           and not exists (
             select from sync_skips k where k.run_id = :id and not k.of_groups and k.directory_id = u.directory_id
               and not ${below("k.dn_key")}))`,
    { ...run, baseKeys },
  );
  return rows;
}

/** Directories that are not among `configured`, and how many users whom the plan adds are stored under them, removed or not. */
export async function countKnownElsewhere(
  trx: Transaction,
  run: PlanRun,
  configured: readonly string[],
): Promise<{ directory: string; users: number }[]> {
  const { rows } = await trx.raw<{ rows: { directory: string; users: number }[] }>(
    `select d.name as directory, count(*)::int as users
     from directories d
     join users u on u.directory = d.name
     join sync_changes c on c.run_id = :id and c.directory_id = u.directory_id and c.action = 'add'
     where d.name <> :directory and d.name <> all(:configured::text[])
     group by d.name order by d.name`,
    { ...run, configured: [...configured] },
  );
  return rows;
}
