// The audit events in which an admin accepted a broken chain.

import type { Database } from "../store/database.ts";

// Far more than a service has in its life; each is looked at whenever the chain is broken.
const limit = 100;

/** What the newest ones say, newest first; whoever writes to the database may have made them up. */
export async function findAcceptanceDetails(db: Database): Promise<Readonly<Record<string, unknown>>[]> {
  const rows: { details: Record<string, unknown> }[] = await db("audit_events")
    .select("details")
    .where("action", "audit-accept")
    .orderBy("id", "desc")
    .limit(limit);
  return rows.map(({ details }) => details);
}
