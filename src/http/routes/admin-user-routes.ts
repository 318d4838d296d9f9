// Users as admins and the help desk see them, and what they may change: requirement, authenticator, lockout.

import { usernameKeyOf } from "../../username.ts";
import { decideRequirement } from "../../users/policy.ts";
import { setRequiredByAdmin } from "../../users/require-mfa.ts";
import { type ManyUsersAnswer, setRequiredOfMany } from "../../users/require-mfa-of-many.ts";
import type { User } from "../../users/user.ts";
import { countUsers } from "../../users/user-filter-table.ts";
import { usersAsCsv } from "../../users/users-csv.ts";
import { findUser, type ListedUser, listUsers } from "../../users/users-table.ts";
import type { IssuedPass as Pass, VerificationState } from "../../verification/answers.ts";
import type { VerificationDeps } from "../../verification/deps.ts";
import { disableMfaByAdmin } from "../../verification/disable-mfa.ts";
import { issueEnrollmentPass } from "../../verification/enrollment-pass.ts";
import { verificationStateOf } from "../../verification/status-of.ts";
import { unlockMany } from "../../verification/unlock-many.ts";
import { unlockUser } from "../../verification/unlock-user.ts";
import type { App } from "../app-type.ts";
import { actorOfRequest } from "../caller-auth.ts";
import { nextCursorOf, parseCursor } from "../cursor.ts";
import { ProblemAnswer } from "../problems.ts";
import { timeOf } from "../request-time.ts";
import { IdParams, NoBody, pageLimit } from "../schemas.ts";
import { pagesOfCsv, sendCsv } from "../send-csv.ts";
import { userSummaryOf } from "../user-summary.ts";
import { wantsCsv } from "../wants-csv.ts";
import {
  atMostDefault,
  CountUsersQuery,
  DisabledMfa,
  DisableMfaRequest,
  IssuedPass,
  ListUsersQuery,
  ManyUsersResult,
  RequireMfaOfManyRequest,
  RequireMfaRequest,
  UnlockManyRequest,
  UserCounts,
  UserDetail,
  UserPage,
} from "./admin-schemas.ts";

export type AdminUserDeps = Pick<VerificationDeps, "db" | "mfa" | "randomBytes">;

export function addAdminUserRoutes(app: App, deps: AdminUserDeps): void {
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

  app.get(
    "/v1/admin/users/:id",
    {
      schema: { tags: ["admin"], summary: "One user", params: IdParams, response: { 200: UserDetail } },
      config: { scope: ["admin", "help-desk", "audit"], problems: ["user-unknown"] },
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
      config: { isChange: true, scope: "admin", problems: ["user-unknown"] },
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

  app.post(
    "/v1/admin/users/:id/disable-mfa",
    {
      schema: {
        tags: ["admin"],
        summary: "End a user's MFA without a code: a lost phone",
        description:
          "Where MFA is required of the user, the next sign-in asks for enrollment: a grace period that still runs ends, " +
          "unless `keepGrace` is true.",
        params: IdParams,
        body: DisableMfaRequest,
        response: { 200: DisabledMfa },
      },
      config: { isChange: true, scope: "admin", problems: ["user-unknown", "not-enrolled"] },
    },
    async (request) => {
      const { params, body } = request;
      const input = { userId: params.id, actor: actorOfRequest(request), ...body };
      const answer = await disableMfaByAdmin(deps, input);
      if (answer.outcome !== "disabled") throw new ProblemAnswer({ code: answer.outcome });
      return {
        ...(await getUserDetail(deps, params.id)),
        issued: answer.pass ? issuedOf(answer.pass) : null,
      };
    },
  );

  app.post(
    "/v1/admin/users/:id/enrollment-pass",
    {
      schema: {
        tags: ["admin"],
        summary: "Issue an enrollment pass to a user without an authenticator",
        description:
          "In place of any issued before. It is shown this once, works once, and ends after `mfa.enrollmentPassExpires`. " +
          "Hand it only to the person whose user it is.",
        params: IdParams,
        body: NoBody,
        response: { 201: IssuedPass },
      },
      config: {
        isChange: true,
        scope: ["admin", "help-desk"],
        problems: ["user-unknown", "user-not-active", "already-enrolled"],
      },
    },
    async (request, reply) => {
      const input = { userId: request.params.id, actor: actorOfRequest(request) };
      const answer = await issueEnrollmentPass(deps, input);
      if (answer.outcome === "user-not-active") {
        throw new ProblemAnswer({ code: answer.outcome, members: { state: answer.state } });
      }
      if (answer.outcome !== "issued") throw new ProblemAnswer({ code: answer.outcome });
      return reply.code(201).send(issuedOf(answer.pass));
    },
  );

  app.post(
    "/v1/admin/users/:id/unlock",
    {
      schema: {
        tags: ["admin"],
        summary: "End a user's lockouts",
        params: IdParams,
        body: NoBody,
        response: { 200: UserDetail },
      },
      config: { isChange: true, scope: ["admin", "help-desk"], problems: ["user-unknown"] },
    },
    async (request) => {
      const { id } = request.params;
      const answer = await unlockUser(deps, { userId: id, actor: actorOfRequest(request) });
      if (answer.outcome !== "unlocked") throw new ProblemAnswer({ code: answer.outcome });
      return getUserDetail(deps, id);
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
  const enrollmentDeadline = textOf(user.enrollmentDeadline);
  return { ...userSummaryOf(user), state, required, requiredBy, enrollmentDeadline, enrolled, locked };
}

function resultOf(answer: ManyUsersAnswer) {
  if (answer.outcome !== "done") throw new ProblemAnswer({ code: answer.outcome });
  return { matched: answer.matched, changed: answer.changed };
}

function issuedOf({ passPlain, expiresAt }: Pass) {
  return { enrollmentPass: passPlain, expiresAt: expiresAt.toISOString() };
}

async function getUserDetail({ db }: Pick<AdminUserDeps, "db">, id: string) {
  const [user, state] = await Promise.all([findUser(db, id), verificationStateOf({ db }, { userId: id })]);
  if (!user || !state) throw new ProblemAnswer({ code: "user-unknown" });
  return userDetailOf(user, state);
}

function userDetailOf(user: User, verification: VerificationState) {
  const { required, requiredBy } = decideRequirement(user);
  return {
    ...userSummaryOf(user),
    state: user.state,
    directoryId: user.directoryId,
    dn: user.dn,
    createdAt: user.createdAt.toISOString(),
    changedAt: user.changedAt.toISOString(),
    removedAt: textOf(user.removedAt),
    policy: {
      required,
      requiredBy,
      requiredNewUser: user.requiredNewUser,
      requiredByAdmin: user.requiredByAdmin,
      requiredSince: textOf(user.requiredSince),
      enrollmentDeadline: textOf(user.enrollmentDeadline),
    },
    authenticator: {
      enrolled: verification.enrolledAt !== null,
      enrolledAt: textOf(verification.enrolledAt),
      pendingUntil: textOf(verification.pendingUntil),
      passUntil: textOf(verification.passUntil),
      backupCodesRemaining: verification.backupCodesRemaining,
    },
    lockouts: verification.lockouts.map(({ method, failures, lockedUntil }) => ({
      method,
      failures,
      lockedUntil: textOf(lockedUntil),
    })),
  };
}

function textOf(time: Date | null): string | null {
  return time?.toISOString() ?? null;
}
