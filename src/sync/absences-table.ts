// In how many complete listings in a row a user was missing, for `limits.confirmRemovals`: counted and forgotten by the end of a run.

import type { Transaction } from "../store/database.ts";
import { type PlanRun, removedByPlan, unlistedUsers } from "./plan-table.ts";

/**
 * Adds one to the count of every user that the listing does not name and the plan does not remove, and deletes the counts of all
 * others. With `anew` all counts start again with this listing, as after a change of server.
 */
export async function countAbsences(trx: Transaction, run: PlanRun, anew: boolean): Promise<void> {
  await trx.raw(
    `with missing as (
       select u.id ${unlistedUsers} and not ${removedByPlan}
     ), back as (
       delete from user_absences a using users u
       where a.user_id = u.id and u.directory = :directory and a.user_id not in (select id from missing)
     )
     insert into user_absences (user_id, listings) select id, 1 from missing
     on conflict (user_id) do update set listings = case when :anew then 1 else user_absences.listings + 1 end`,
    { ...run, anew },
  );
}

/**
 * Deletes the counts of users whom the listing names. For a held run, which changes nothing else: its listing was complete, so
 * these users are not missing.
 */
export async function forgetAbsencesOfListed(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    `delete from user_absences a using users listed
     where a.user_id = listed.id and listed.directory = :directory and listed.id not in (select u.id ${unlistedUsers})`,
    { ...run },
  );
}

/** Deletes all counts of a directory that removes users at the first listing without them. */
export async function forgetAbsences(trx: Transaction, run: PlanRun): Promise<void> {
  await trx.raw(
    "delete from user_absences a using users u where a.user_id = u.id and u.directory = :directory",
    { ...run },
  );
}
