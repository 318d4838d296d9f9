// What a restored database must not be believed about codes: statements over all users at once. They run in the order of locks
// that every flow keeps: users, authenticators, backup codes.

import type { Transaction } from "../store/database.ts";
import { rawCount, rawRows } from "../store/raw-rows.ts";
import { totpParameters } from "./totp.ts";

/** Waits for every flow of a user that has something to lose, and keeps new ones waiting to the end of the transaction. */
export async function holdEnrolledUsers(trx: Transaction): Promise<void> {
  await trx.raw(
    `select u.id from users u
     where exists (select from authenticators a where a.user_id = u.id)
       or exists (select from enrollment_passes p where p.user_id = u.id)
     order by u.id for update`,
  );
}

/**
 * Spends every TOTP code up to the present and the window after it, by the later of both clocks (rule 16). Returns the number
 * of authenticators.
 */
export async function spendStepsUntilNow(
  trx: Transaction,
  now: { step: number; windowSteps: number },
): Promise<number> {
  return rawCount(
    trx,
    `update authenticators set last_step = greatest(
       last_step, :windowSteps + greatest(:step::bigint, floor(extract(epoch from clock_timestamp()) / :period)::bigint))
     where state = 'active'`,
    { ...now, period: totpParameters.periodSeconds },
  );
}

/** Ends every enrollment that was begun and not confirmed: it may have been confirmed or replaced since. */
export async function deletePendings(trx: Transaction): Promise<number> {
  return trx("authenticators").where({ state: "pending" }).delete();
}

/** Ends every enrollment pass: it may have been used or replaced since. Returns how many. */
export async function deletePasses(trx: Transaction): Promise<number> {
  return trx("enrollment_passes").delete();
}

/** Spends every backup code; a set stays, and its user makes another with a TOTP code. Returns how many users had one left. */
export async function spendAllBackupCodes(trx: Transaction): Promise<number> {
  const rows = await rawRows<{ sets: number }>(
    trx,
    `with spent as (
       update backup_codes set spent_at = clock_timestamp() where spent_at is null returning set_id
     ) select count(distinct set_id)::int as sets from spent`,
  );
  return rows[0]?.sets ?? 0;
}

/** How many users have backup codes left. */
export async function countUsersWithBackupCodes(trx: Transaction): Promise<number> {
  const rows = await rawRows<{ sets: number }>(
    trx,
    "select count(distinct set_id)::int as sets from backup_codes where spent_at is null",
  );
  return rows[0]?.sets ?? 0;
}
