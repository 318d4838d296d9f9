// Sync runs: ask for one, look at them and at their plans, approve a held one.

import type { DirectoryConfig } from "../../config/config.ts";
import type { Database } from "../../store/database.ts";
import type { StartedSync } from "../../sync/start-sync.ts";
import { listChanges, listSkips } from "../../sync/sync-changes-table.ts";
import type { SyncRun } from "../../sync/sync-run.ts";
import type { SyncRunner } from "../../sync/sync-runner.ts";
import { findRun, listRuns } from "../../sync/sync-runs-table.ts";
import type { App } from "../app-type.ts";
import { actorOfRequest } from "../caller-auth.ts";
import { nextCursorOf, parseCursor } from "../cursor.ts";
import { ProblemAnswer } from "../problems.ts";
import { IdParams, NoBody, pageLimit } from "../schemas.ts";
import {
  ChangesQuery,
  ListRunsQuery,
  StartRunRequest,
  SyncChangePage,
  SyncRunDetail,
  SyncRunPage,
  SyncRun as SyncRunSchema,
} from "./admin-sync-schemas.ts";
import { runAnswerOf } from "./run-answer.ts";

export interface AdminSyncDeps {
  db: Database;
  runner: SyncRunner;
  directories: readonly DirectoryConfig[];
}

/** Enough to see what is wrong; the log of the run has all of them. */
const skipsShown = 100;

export function addAdminSyncRoutes(app: App, deps: AdminSyncDeps): void {
  app.post(
    "/v1/admin/sync-runs",
    {
      schema: {
        tags: ["admin"],
        summary: "Start a sync run",
        body: StartRunRequest,
        response: { 202: SyncRunSchema },
      },
      config: { isChange: true, scope: "admin", problems: ["directory-unknown", "run-in-progress"] },
    },
    async (request, reply) => {
      const started = await deps.runner.start({
        directory: directoryOf(deps, request.body.directory),
        trigger: "request",
        actor: actorOfRequest(request),
        dryRun: request.body.dryRun ?? false,
        kind: request.body.incremental ? "incremental" : "full",
      });
      return reply.code(202).send(runAnswerOf(startedRun(started)));
    },
  );

  app.post(
    "/v1/admin/sync-runs/:id/approve",
    {
      schema: {
        tags: ["admin"],
        summary: "Approve a held run",
        description:
          "Starts a run with a fresh listing, which removes nobody who is not in the approved plan. Answers with it.",
        params: IdParams,
        body: NoBody,
        response: { 202: SyncRunSchema },
      },
      config: {
        isChange: true,
        scope: "admin",
        problems: ["not-found", "directory-unknown", "run-not-held", "run-in-progress"],
      },
    },
    async (request, reply) => {
      const held = await getRun(deps, request.params.id);
      const started = await deps.runner.start({
        directory: directoryOf(deps, held.directory),
        trigger: "approval",
        actor: actorOfRequest(request),
        dryRun: false,
        approves: held,
      });
      return reply.code(202).send(runAnswerOf(startedRun(started)));
    },
  );

  app.get(
    "/v1/admin/sync-runs",
    {
      schema: {
        tags: ["admin"],
        summary: "Sync runs",
        querystring: ListRunsQuery,
        response: { 200: SyncRunPage },
      },
      config: { scope: ["admin", "audit"] },
    },
    async ({ query: { cursor, limit = pageLimit, ...filter } }) => {
      const [time, id] = cursor === undefined ? [] : parseCursor(cursor, ["time", "uuid"]);
      const after = time === undefined || id === undefined ? undefined : { startedAt: new Date(time), id };
      const runs = await listRuns(deps.db, { ...filter, after, limit });
      return {
        runs: runs.map(runAnswerOf),
        nextCursor: nextCursorOf(runs, limit, (last) => [last.startedAt.toISOString(), last.id]),
      };
    },
  );

  app.get(
    "/v1/admin/sync-runs/:id",
    {
      schema: {
        tags: ["admin"],
        summary: "One sync run",
        params: IdParams,
        response: { 200: SyncRunDetail },
      },
      config: { scope: ["admin", "audit"], problems: ["not-found"] },
    },
    async ({ params }) => {
      const run = await getRun(deps, params.id);
      return { ...runAnswerOf(run), skips: await listSkips(deps.db, run.id, skipsShown) };
    },
  );

  app.get(
    "/v1/admin/sync-runs/:id/changes",
    {
      schema: {
        tags: ["admin"],
        summary: "A run's plan, user by user",
        params: IdParams,
        querystring: ChangesQuery,
        response: { 200: SyncChangePage },
      },
      config: { scope: ["admin", "audit"], problems: ["not-found"] },
    },
    async ({ params, query: { search, cursor, limit = pageLimit } }) => {
      const run = await getRun(deps, params.id);
      const [after] = cursor === undefined ? [] : parseCursor(cursor, ["text"]);
      const changes = await listChanges(deps.db, run.id, { after, search, limit });
      return { changes, nextCursor: nextCursorOf(changes, limit, (last) => [last.directoryId]) };
    },
  );
}

function directoryOf(deps: AdminSyncDeps, name: string): DirectoryConfig {
  const directory = deps.directories.find((known) => known.name === name);
  if (!directory) throw new ProblemAnswer({ code: "directory-unknown" });
  return directory;
}

async function getRun(deps: AdminSyncDeps, id: string): Promise<SyncRun> {
  const run = await findRun(deps.db, id);
  if (!run) throw new ProblemAnswer({ code: "not-found", detail: "There is no such sync run." });
  return run;
}

function startedRun(started: StartedSync): SyncRun {
  if (started.kind === "already-running") {
    throw new ProblemAnswer({
      code: "run-in-progress",
      detail: "See the run that is under way, and ask again when it has ended.",
      members: { runId: started.run.id },
    });
  }
  return started.run;
}
