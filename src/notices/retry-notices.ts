// Dead notices wait for delivery again, because somebody asked for it.

import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import type { Database } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import { reviveDead } from "./notices-table.ts";

/** One of them, or without `id` all. Returns how many there were; without any nothing is recorded. */
export async function retryNotices(
  deps: { db: Database },
  input: { id?: string | undefined; actor: Actor },
): Promise<number> {
  return inTransaction(deps.db, async (trx) => {
    const revived = await reviveDead(trx, input.id);
    if (revived === 0) return 0;
    await recordAuditEvent(trx, {
      actor: input.actor,
      action: "notice-retry",
      outcome: "done",
      details: { notices: revived, ...(input.id === undefined ? {} : { noticeId: input.id }) },
    });
    return revived;
  });
}
