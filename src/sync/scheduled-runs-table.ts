// What the schedule asks of the sync runs before it starts one: whether a tick has had its run. Reads only.

import type { Transaction } from "../store/database.ts";

/**
 * Whether the schedule has had its run: one for the same tick, or one that began within `overdueAfterMs` by the database's
 * clock. The caller holds the directory's lease. A run that changed nothing since it was dry, failed or was cut off is none, and
 * an incremental one is none for the schedule of full ones.
 */
export async function hasScheduledRun(
  trx: Transaction,
  directory: string,
  { kind, due }: { kind: "full" | "incremental"; due: { slot: Date } | { overdueAfterMs: number } },
): Promise<boolean> {
  const query = trx("sync_runs")
    .where({ directory, dry_run: false })
    .whereIn("kind", kind === "full" ? ["full"] : ["full", "incremental"])
    .whereIn("status", ["succeeded", "held"]);
  if ("slot" in due) query.where({ slot: due.slot });
  else query.whereRaw("started_at > now() - ? * interval '1 millisecond'", [due.overdueAfterMs]);
  return (await query.first("id")) !== undefined;
}

/**
 * Whether the directory's last run is an incremental one that is held: another would be held for the same changes, until a full one
 * or a person comes.
 */
export async function isIncrementalHeld(trx: Transaction, directory: string): Promise<boolean> {
  const last = await trx("sync_runs")
    .where({ directory, dry_run: false })
    .whereIn("kind", ["full", "incremental"])
    .whereIn("status", ["succeeded", "held"])
    .orderBy("started_at", "desc")
    .first<{ kind: string; status: string } | undefined>("kind", "status");
  return last?.kind === "incremental" && last.status === "held";
}
