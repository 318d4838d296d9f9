// After a backup of the database was restored: what can be made safe is made safe, in one transaction. A backup knows nothing of
// the codes that were spent after it, nor of the authenticators that were replaced, nor how far a directory had got.
// It is in no folder because it acts in three that do not know each other: verification, sync and console.

import { type Actor, findLastEventTime, recordAuditEvent } from "./audit/audit-events-table.ts";
import type { Clock } from "./clock.ts";
import { deleteEverySession } from "./console/console-sessions-table.ts";
import type { Database } from "./store/database.ts";
import { inTransaction } from "./store/in-transaction.ts";
import { forgetServers } from "./sync/directories-table.ts";
import { forgetAllMarks } from "./sync/marks-table.ts";
import {
  countUsersWithBackupCodes,
  deletePasses,
  deletePendings,
  holdEnrolledUsers,
  spendAllBackupCodes,
  spendStepsUntilNow,
} from "./verification/restored-table.ts";
import { timeStepAt } from "./verification/totp.ts";

export interface RestoredAnswer {
  /** The last audit event of the backup: what was done later is lost. Null where there is none. */
  backupEndsAt: Date | null;
  /** Authenticators for which every code up to now is spent. */
  authenticators: number;
  /** Enrollments that were begun and not confirmed in the backup. They are ended. */
  pendingEnded: number;
  /** Enrollment passes in the backup. They are ended. */
  passesEnded: number;
  /** Users with backup codes left in the backup, some of which may have been spent since. */
  usersWithBackupCodes: number;
  backupCodesEnded: boolean;
}

/** Safe to run again, and beside running daemons; better before they start. */
export async function settleRestoredDatabase(
  deps: { db: Database; clock: Clock; windowSteps: number },
  input: { endBackupCodes: boolean; actor: Actor },
): Promise<RestoredAnswer> {
  return inTransaction(deps.db, async (trx) => {
    const backupEndsAt = await findLastEventTime(trx);
    await holdEnrolledUsers(trx);
    const step = timeStepAt(deps.clock.now());
    const answer: RestoredAnswer = {
      backupEndsAt,
      authenticators: await spendStepsUntilNow(trx, { step, windowSteps: deps.windowSteps }),
      pendingEnded: await deletePendings(trx),
      passesEnded: await deletePasses(trx),
      usersWithBackupCodes: input.endBackupCodes
        ? await spendAllBackupCodes(trx)
        : await countUsersWithBackupCodes(trx),
      backupCodesEnded: input.endBackupCodes,
    };
    await deleteEverySession(trx);
    await forgetServers(trx);
    await forgetAllMarks(trx);
    const { actor } = input;
    await recordAuditEvent(trx, {
      actor,
      action: "database-restored",
      outcome: "done",
      details: { ...answer },
    });
    return answer;
  });
}
