// Notices: what waits, what was given up, and another try.

import { listNotices } from "../../notices/notices-table.ts";
import { retryNotices } from "../../notices/retry-notices.ts";
import type { Database } from "../../store/database.ts";
import type { App } from "../app-type.ts";
import { actorOfRequest } from "../caller-auth.ts";
import { ProblemAnswer } from "../problems.ts";
import { IdParams, NoBody, Nothing, pageLimit } from "../schemas.ts";
import { ListNoticesQuery, NoticePage, RetriedNotices } from "./admin-notice-schemas.ts";

export function addAdminNoticeRoutes(app: App, { db }: { db: Database }): void {
  app.get(
    "/v1/admin/notices",
    {
      schema: {
        tags: ["admin"],
        summary: "Notices to users and admins, newest first",
        description: "Without the texts, which are made when they are sent.",
        querystring: ListNoticesQuery,
        response: { 200: NoticePage },
      },
      config: { scope: ["admin", "audit"] },
    },
    async ({ query: { state, limit = pageLimit } }) => ({
      notices: (await listNotices(db, { state, limit })).map((notice) => ({
        ...notice,
        user: notice.user?.username ?? null,
        createdAt: notice.createdAt.toISOString(),
        nextAttemptAt: notice.state === "waiting" ? notice.nextAttemptAt.toISOString() : null,
      })),
    }),
  );

  app.post(
    "/v1/admin/notices/:id/retry",
    {
      schema: {
        tags: ["admin"],
        summary: "Try a dead notice again",
        params: IdParams,
        body: NoBody,
        response: { 204: Nothing },
      },
      config: { isChange: true, scope: "admin", problems: ["not-found"] },
    },
    async (request, reply) => {
      const input = { id: request.params.id, actor: actorOfRequest(request) };
      if ((await retryNotices({ db }, input)) === 0) {
        throw new ProblemAnswer({ code: "not-found", detail: "There is no dead notice with this id." });
      }
      return reply.code(204).send(null);
    },
  );

  app.post(
    "/v1/admin/notices/retry",
    {
      schema: {
        tags: ["admin"],
        summary: "Try all dead notices again",
        body: NoBody,
        response: { 200: RetriedNotices },
      },
      config: { isChange: true, scope: "admin" },
    },
    async (request) => ({ retried: await retryNotices({ db }, { actor: actorOfRequest(request) }) }),
  );
}
