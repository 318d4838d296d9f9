// Users as admins and the help desk see them, and what they may change: requirement, authenticator, lockout.

import type { Database } from "../../store/database.ts";
import { usernameKeyOf } from "../../username.ts";
import { decideRequirement, type MfaPolicy } from "../../users/policy.ts";
import { setRequiredByAdmin } from "../../users/require-mfa.ts";
import type { User } from "../../users/user.ts";
import { findUser, listUsers } from "../../users/users-table.ts";
import type { App } from "../app.ts";
import { actorOfRequest } from "../caller-auth.ts";
import { nextCursorOf, parseCursor } from "../cursor.ts";
import { ProblemAnswer } from "../problems.ts";
import { IdParams, pageLimit } from "../schemas.ts";
import { userSummaryOf } from "../user-summary.ts";
import { ListUsersQuery, RequireMfaRequest, UserDetail, UserPage } from "./admin-schemas.ts";

export interface AdminUserDeps {
  db: Database;
  policy: MfaPolicy;
}

export function addAdminUserRoutes(app: App, deps: AdminUserDeps): void {
  app.get(
    "/v1/admin/users",
    {
      schema: { tags: ["admin"], summary: "Users", querystring: ListUsersQuery, response: { 200: UserPage } },
      config: { scope: "admin" },
    },
    async ({ query: { cursor, limit = pageLimit, ...filter } }) => {
      const [usernameKey, id] = cursor === undefined ? [] : parseCursor(cursor, ["text", "uuid"]);
      const after = usernameKey === undefined || id === undefined ? undefined : { usernameKey, id };
      const users = await listUsers(deps.db, { ...filter, after, limit });
      return {
        users: users.map((user) => ({
          ...userSummaryOf(user),
          state: user.state,
          required: decideRequirement(user, deps.policy).required,
        })),
        nextCursor: nextCursorOf(users, limit, (last) => [usernameKeyOf(last.username), last.id]),
      };
    },
  );

  app.get(
    "/v1/admin/users/:id",
    {
      schema: { tags: ["admin"], summary: "One user", params: IdParams, response: { 200: UserDetail } },
      config: { scope: "admin", problems: ["user-unknown"] },
    },
    async ({ params }) => getUserDetail(deps, params.id),
  );

  app.put(
    "/v1/admin/users/:id/mfa-required",
    {
      schema: {
        tags: ["admin"],
        summary: "Require MFA of a user, or take that back",
        description:
          "False takes back what an admin required, and ends the new-user flag of this user. What the organization, the " +
          "directory or a group requires stays. A sync never changes it.",
        params: IdParams,
        body: RequireMfaRequest,
        response: { 200: UserDetail },
      },
      config: { scope: "admin", problems: ["user-unknown"] },
    },
    async (request) => {
      const input = {
        userId: request.params.id,
        required: request.body.required,
        actor: actorOfRequest(request),
      };
      if (!(await setRequiredByAdmin(deps, input))) throw new ProblemAnswer({ code: "user-unknown" });
      return getUserDetail(deps, request.params.id);
    },
  );
}

async function getUserDetail(deps: AdminUserDeps, id: string) {
  const user = await findUser(deps.db, id);
  if (!user) throw new ProblemAnswer({ code: "user-unknown" });
  return userDetailOf(user, deps.policy);
}

function userDetailOf(user: User, policy: MfaPolicy) {
  const { required, requiredBy } = decideRequirement(user, policy);
  return {
    ...userSummaryOf(user),
    state: user.state,
    directoryId: user.directoryId,
    dn: user.dn,
    createdAt: user.createdAt.toISOString(),
    changedAt: user.changedAt.toISOString(),
    removedAt: user.removedAt?.toISOString() ?? null,
    policy: {
      required,
      requiredBy,
      requiredNewUser: user.requiredNewUser,
      requiredByAdmin: user.requiredByAdmin,
      requiredSince: user.requiredSince?.toISOString() ?? null,
      enrollmentDeadline: user.enrollmentDeadline?.toISOString() ?? null,
    },
    authenticator: { enrolled: false, enrolledAt: null, pendingUntil: null, backupCodesRemaining: 0 },
    lockouts: [],
  };
}
