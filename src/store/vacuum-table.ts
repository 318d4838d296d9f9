// Space of rows that are gone. PostgreSQL sees to it by itself; the embedded database has nobody who does.

import type { Database } from "./database.ts";

/** Makes the space of deleted rows usable again, and renews the planner's statistics. Not within a transaction. */
export async function vacuumTables(db: Database): Promise<void> {
  await db.raw("vacuum (analyze)");
}
