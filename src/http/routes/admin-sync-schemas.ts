// Requests and answers of the admin scope about sync runs and their plans.

import { Type } from "typebox";
import { runStatuses } from "../../sync/sync-run.ts";
import {
  Closed,
  DirectoryName,
  Facts,
  Instant,
  Line,
  Named,
  NextCursor,
  Nullable,
  pageQuery,
  Words,
} from "../schemas.ts";

const RunStatus = Words(runStatuses, { title: "SyncRunStatus" });
const RunRemark = Named("SyncRunRemark", { code: Type.String(), text: Type.String() });

const syncRun = {
  id: Type.String(),
  directory: Type.String(),
  kind: Words(["full", "incremental", "one-user"]),
  trigger: Words(["schedule", "start", "request", "approval"]),
  requestedBy: Type.String(),
  dryRun: Type.Boolean(),
  approves: Nullable(
    Type.String({ description: "The held run whose plan this one was approved to carry out" }),
  ),
  status: RunStatus,
  startedAt: Instant,
  finishedAt: Nullable(Instant),
  serverUrl: Nullable(Type.String()),
  counts: Nullable(
    Named("SyncRunCounts", {
      listed: Type.Integer(),
      unchanged: Type.Integer(),
      added: Type.Integer(),
      changed: Type.Integer(),
      restored: Type.Integer(),
      disabled: Type.Integer(),
      removed: Type.Integer(),
      skipped: Type.Integer(),
    }),
  ),
  holdReasons: Type.Array(RunRemark),
  notes: Type.Array(RunRemark),
  planDigest: Nullable(Type.String()),
  approvedAt: Nullable(Instant),
  approvedBy: Nullable(Type.String()),
  error: Nullable(
    Named("SyncRunError", { code: Type.String(), message: Type.String(), remedy: Nullable(Type.String()) }),
  ),
};

export const SyncRun = Named("SyncRun", syncRun);
export const SyncRunDetail = Named("SyncRunDetail", {
  ...syncRun,
  skips: Type.Array(
    Named("SkippedEntry", { dn: Type.String(), reason: Type.String(), detail: Type.String() }),
    {
      description: "The first entries that could not be used, and why; `counts.skipped` has their number",
    },
  ),
});

export const StartRunRequest = Named("StartRunRequest", {
  directory: Line(100),
  dryRun: Type.Optional(Type.Boolean()),
  incremental: Type.Optional(
    Type.Boolean({
      description:
        "Reads only what the server says has changed, and removes nobody; the run becomes a full one where that cannot be told",
    }),
  ),
});
export const ListRunsQuery = Closed({
  directory: Type.Optional(DirectoryName),
  status: Type.Optional(RunStatus),
  ...pageQuery,
});
export const SyncRunPage = Named("SyncRunPage", {
  runs: Type.Array(SyncRun, { description: "Newest first" }),
  nextCursor: NextCursor,
});

export const ChangesQuery = Closed({
  search: Type.Optional(Line(200, { description: "Part of the username or DN" })),
  ...pageQuery,
});
export const SyncChangePage = Named("SyncChangePage", {
  changes: Type.Array(
    Named("SyncChange", {
      directoryId: Type.String(),
      userId: Nullable(Type.String()),
      action: Words(["add", "change", "restore", "disable", "remove"]),
      username: Type.String(),
      dn: Type.String(),
      reasons: Type.Array(Type.String()),
      before: Nullable(Facts),
      after: Nullable(Facts),
    }),
  ),
  nextCursor: NextCursor,
});
