// A sync run as the API answers with it. Pure.

import type { SyncRun } from "../../sync/sync-run.ts";

export function runAnswerOf(run: SyncRun) {
  return {
    ...run,
    startedAt: run.startedAt.toISOString(),
    finishedAt: run.finishedAt?.toISOString() ?? null,
    approvedAt: run.approvedAt?.toISOString() ?? null,
  };
}
