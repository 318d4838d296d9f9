// Reads what is kept with a run: its plan user by user, and the entries that it could not use.

import type { Database } from "../store/database.ts";
import type { SyncChange, SyncSkip } from "./sync-run.ts";

export interface ChangeFilter {
  /** The last directory id of the page before. */
  after?: string | undefined;
  /** Part of the username or DN, in any case. */
  search?: string | undefined;
  limit: number;
}

/** A run's plan user by user, in the order of the directory ids. */
export async function listChanges(db: Database, runId: string, filter: ChangeFilter): Promise<SyncChange[]> {
  const { rows } = await db.raw<{ rows: ChangeRow[] }>(
    `select c.directory_id, u.id as user_id, c.action, c.username, c.dn, c.reasons, c.before, c.after
     from sync_changes c left join users u on u.id = c.user_id
     where c.run_id = (select coalesce(plan_of, id) from sync_runs where id = :runId) and (:after::text is null or c.directory_id > :after)
       and (:search::text is null or strpos(lower(c.username), lower(:search)) > 0 or strpos(lower(c.dn), lower(:search)) > 0)
     order by c.directory_id limit :limit`,
    { runId, after: filter.after ?? null, search: filter.search ?? null, limit: filter.limit },
  );
  return rows.map(({ directory_id: directoryId, user_id: userId, ...rest }) => ({
    ...rest,
    directoryId,
    userId,
  }));
}

export async function listSkips(db: Database, runId: string, limit: number): Promise<SyncSkip[]> {
  return db("sync_skips")
    .select("dn", "reason", "detail")
    .whereRaw("run_id = (select coalesce(skips_of, id) from sync_runs where id = ?)", [runId])
    .orderBy("id")
    .limit(limit);
}

interface ChangeRow extends Omit<SyncChange, "directoryId" | "userId"> {
  directory_id: string;
  user_id: string | null;
}
