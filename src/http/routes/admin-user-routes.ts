// One user as admins and the help desk see it, and what they may change: requirement, authenticator, lockout.

import { decideRequirement } from "../../users/policy.ts";
import { setRequiredByAdmin } from "../../users/require-mfa.ts";
import type { User } from "../../users/user.ts";
import type { IssuedPass as Pass, VerificationState } from "../../verification/answers.ts";
import type { VerificationDeps } from "../../verification/deps.ts";
import { disableMfaByAdmin } from "../../verification/disable-mfa.ts";
import { issueEnrollmentPass } from "../../verification/enrollment-pass.ts";
import { explainSignIn } from "../../verification/explain-sign-in.ts";
import { findStanding } from "../../verification/standing-table.ts";
import { verificationStateOf } from "../../verification/status-of.ts";
import { unlockUser } from "../../verification/unlock-user.ts";
import type { App } from "../app-type.ts";
import { actorOfRequest } from "../caller-auth.ts";
import { ProblemAnswer } from "../problems.ts";
import { IdParams, NoBody } from "../schemas.ts";
import { userSummaryOf } from "../user-summary.ts";
import {
  DisabledMfa,
  DisableMfaRequest,
  IssuedPass,
  IssuePassRequest,
  RequireMfaRequest,
  UserDetail,
} from "./admin-user-schemas.ts";

export type AdminUserDeps = Pick<VerificationDeps, "db" | "mfa" | "randomBytes" | "directories">;

export function addAdminUserRoutes(app: App, deps: AdminUserDeps): void {
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
        body: IssuePassRequest,
        response: { 201: IssuedPass },
      },
      config: {
        isChange: true,
        scope: ["admin", "help-desk"],
        problems: ["user-unknown", "user-not-active", "already-enrolled"],
      },
    },
    async (request, reply) => {
      const { params, body } = request;
      const input = { userId: params.id, actor: actorOfRequest(request), ...body };
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

function issuedOf({ passPlain, expiresAt }: Pass) {
  return { enrollmentPass: passPlain, expiresAt: expiresAt.toISOString() };
}

async function getUserDetail({ db, directories }: Pick<AdminUserDeps, "db" | "directories">, id: string) {
  const [standing, state] = await Promise.all([
    findStanding(db, id),
    verificationStateOf({ db }, { userId: id }),
  ]);
  if (!standing || !state) throw new ProblemAnswer({ code: "user-unknown" });
  const { can, text } = explainSignIn(standing, directories, state.passUntil);
  return { ...userDetailOf(standing.user, state), signIn: { possible: can, explanation: text } };
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
