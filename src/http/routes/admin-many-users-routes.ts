// The users who fit a filter, as admins and the help desk see them: a list, a count, CSV, and acts on all of them at once.

import { usernameKeyOf } from "../../username.ts";
import { decideRequirement } from "../../users/policy.ts";
import { type ManyUsersAnswer, setRequiredOfMany } from "../../users/require-mfa-of-many.ts";
import { countUsers } from "../../users/user-filter-table.ts";
import { usersAsCsv } from "../../users/users-csv.ts";
import { type ListedUser, listUsers } from "../../users/users-table.ts";
import type { VerificationDeps } from "../../verification/deps.ts";
import { unlockMany } from "../../verification/unlock-many.ts";
import type { App } from "../app-type.ts";
import { actorOfRequest } from "../caller-auth.ts";
import { nextCursorOf, parseCursor } from "../cursor.ts";
import { ProblemAnswer } from "../problems.ts";
import { timeOf } from "../request-time.ts";
import { pageLimit } from "../schemas.ts";
import { pagesOfCsv, sendCsv } from "../send-csv.ts";
import { userSummaryOf } from "../user-summary.ts";
import { wantsCsv } from "../wants-csv.ts";
import {
  atMostDefault,
  CountUsersQuery,
  ListUsersQuery,
  ManyUsersResult,
  RequireMfaOfManyRequest,
  UnlockManyRequest,
  UserCounts,
  UserPage,
} from "./admin-user-schemas.ts";

export function addAdminManyUsersRoutes(app: App, deps: Pick<VerificationDeps, "db">): void {
  app.get(
    "/v1/admin/users",
    {
      schema: {
        tags: ["admin"],
        summary: "Users",
        description:
          "With `Accept: text/csv` all users who fit come as CSV (RFC 4180), without pages; `limit` and `cursor` are refused then.",
        querystring: ListUsersQuery,
        response: { 200: UserPage },
      },
      config: { scope: ["admin", "help-desk", "audit"], alsoCsv: true },
    },
    async ({ query: { cursor, limit, ...filter }, headers }, reply) => {
      const conditions = conditionsOf(filter);
      reply.header("vary", "accept");
      if (wantsCsv(headers.accept)) {
        if (cursor !== undefined || limit !== undefined) throw pagesOfCsv();
        return sendCsv(reply, "users.csv", usersAsCsv(deps.db, conditions));
      }
      const [usernameKey, id] = cursor === undefined ? [] : parseCursor(cursor, ["text", "uuid"]);
      const after = usernameKey === undefined || id === undefined ? undefined : { usernameKey, id };
      const size = limit ?? pageLimit;
      const users = await listUsers(deps.db, { ...conditions, after, limit: size });
      return {
        users: users.map(listedUserOf),
        nextCursor: nextCursorOf(users, size, (last) => [usernameKeyOf(last.username), last.id]),
      };
    },
  );

  app.get(
    "/v1/admin/users/counts",
    {
      schema: {
        tags: ["admin"],
        summary: "How many users fit, and how many of them are enrolled, required, locked out",
        querystring: CountUsersQuery,
        response: { 200: UserCounts },
      },
      config: { scope: ["admin", "help-desk", "audit"] },
    },
    async ({ query }) => countUsers(deps.db, conditionsOf(query)),
  );

  app.post(
    "/v1/admin/users/mfa-required",
    {
      schema: {
        tags: ["admin"],
        summary: "Require MFA of all users who fit, or take that back",
        description:
          "For each as the call for one user. All of them in one transaction, or nobody: when more than `atMost` users fit, the " +
          "answer is `too-many-users`.",
        body: RequireMfaOfManyRequest,
        response: { 200: ManyUsersResult },
      },
      config: { isChange: true, scope: "admin", problems: ["too-many-users"] },
    },
    async (request) => {
      const { filter, required, atMost = atMostDefault } = request.body;
      const actor = actorOfRequest(request);
      return resultOf(
        await setRequiredOfMany(deps, { conditions: conditionsOf(filter), required, atMost, actor }),
      );
    },
  );

  app.post(
    "/v1/admin/users/unlock",
    {
      schema: {
        tags: ["admin"],
        summary: "End the lockouts of all users who fit",
        description: "All of them in one transaction, or nobody, as above.",
        body: UnlockManyRequest,
        response: { 200: ManyUsersResult },
      },
      config: { isChange: true, scope: "admin", problems: ["too-many-users"] },
    },
    async (request) => {
      const { filter, atMost = atMostDefault } = request.body;
      const actor = actorOfRequest(request);
      return resultOf(await unlockMany(deps, { conditions: conditionsOf(filter), atMost, actor }));
    },
  );
}

function conditionsOf<Filter extends { deadlineBefore?: string }>({ deadlineBefore, ...filter }: Filter) {
  return {
    ...filter,
    ...(deadlineBefore === undefined ? {} : { deadlineBefore: timeOf(deadlineBefore, "deadlineBefore") }),
  };
}

function listedUserOf(user: ListedUser) {
  const { required, requiredBy } = decideRequirement(user);
  const { state, enrolled, locked } = user;
  const enrollmentDeadline = user.enrollmentDeadline?.toISOString() ?? null;
  return { ...userSummaryOf(user), state, required, requiredBy, enrollmentDeadline, enrolled, locked };
}

function resultOf(answer: ManyUsersAnswer) {
  if (answer.outcome !== "done") throw new ProblemAnswer({ code: answer.outcome });
  return { matched: answer.matched, changed: answer.changed };
}
