// The login scope: what the login service asks of dirmfa. Turns requests into flows and their answers into JSON; every
// outcome that is not what was asked for leaves as a problem.

import { beginEnrollment } from "../../verification/begin-enrollment.ts";
import { confirmEnrollment } from "../../verification/confirm-enrollment.ts";
import { decideSignIn } from "../../verification/decide-sign-in.ts";
import type { VerificationDeps } from "../../verification/deps.ts";
import { disableMfa } from "../../verification/disable-mfa.ts";
import { regenerateBackupCodes } from "../../verification/regenerate-backup-codes.ts";
import { statusOf } from "../../verification/status-of.ts";
import { verifyCode } from "../../verification/verify-code.ts";
import type { App } from "../app-type.ts";
import { callerActorOf } from "../caller-auth.ts";
import type { Metrics } from "../metrics.ts";
import type { ProblemCode } from "../problems.ts";
import { type Refusal, refusalAnswer } from "../refusals.ts";
import { Nothing } from "../schemas.ts";
import { userSummaryOf } from "../user-summary.ts";
import {
  BackupCodesAnswer,
  BeginEnrollmentRequest,
  EnrollmentAnswer,
  SignInAnswer,
  StatusAnswer,
  TotpRequest,
  UserRequest,
  VerifyAnswer,
  VerifyRequest,
} from "./login-schemas.ts";

export interface LoginRoutesDeps extends VerificationDeps {
  metrics: Metrics;
}

const ofUser: readonly ProblemCode[] = ["user-unknown", "username-ambiguous", "user-not-active"];
const ofCode: readonly ProblemCode[] = ["code-rejected", "locked-out"];

export function addLoginRoutes(app: App, deps: LoginRoutesDeps): void {
  addSignInRoutes(app, deps);
  addStatusRoute(app, deps);
  addEnrollmentRoutes(app, deps);
}

function addSignInRoutes(app: App, deps: LoginRoutesDeps): void {
  const refuse = (answer: Refusal) => refusalAnswer(answer, deps.clock.now());

  app.post(
    "/v1/sign-in",
    {
      schema: {
        tags: ["login"],
        summary: "What is asked of a user who has shown the first factor",
        description:
          "Changes nothing. Every decision is an answer, `deny` included, so the status is always 200.",
        body: UserRequest,
        response: { 200: SignInAnswer },
      },
      config: { scope: "login", problems: ["username-ambiguous"] },
    },
    async ({ body }) => {
      const answer = await decideSignIn(deps, { name: body });
      if (answer.outcome !== "decided") throw refuse(answer);
      deps.metrics.countDecision(answer.decision);
      return {
        decision: answer.decision,
        reasons: answer.reasons,
        user: answer.user && userSummaryOf(answer.user),
        methods: answer.methods,
        backupCodesRemaining: answer.backupCodesRemaining,
        lockedUntil: answer.lockedUntil?.toISOString() ?? null,
        enrollment: answer.enrollment && {
          deadline: answer.enrollment.deadline?.toISOString() ?? null,
          mayDefer: answer.enrollment.mayDefer,
          passRequired: answer.enrollment.passRequired,
        },
      };
    },
  );

  app.post(
    "/v1/verify",
    {
      schema: {
        tags: ["login"],
        summary: "Check a code and spend it",
        description: "Either `totp` or `backupCode`. Only 200 lets the user in, once for any code.",
        body: VerifyRequest,
        response: { 200: VerifyAnswer },
      },
      config: { scope: "login", problems: [...ofUser, ...ofCode, "not-enrolled"] },
    },
    async (request) => {
      const { username, directory, totp, backupCode } = request.body;
      // The schema lets exactly one of the two through; no code at all would be rejected as a wrong one.
      const code =
        totp === undefined
          ? ({ method: "backup-code", codeAsTyped: backupCode ?? "" } as const)
          : ({ method: "totp", codeAsTyped: totp } as const);
      const input = { name: { username, directory }, actor: callerActorOf(request), signal: request.waiting };
      const answer = await verifyCode(deps, { ...input, code });
      deps.metrics.countVerification(code.method, answer.outcome);
      if (answer.outcome !== "accepted") throw refuse(answer);
      return {
        verified: true as const,
        method: answer.method,
        user: userSummaryOf(answer.user),
        backupCodesRemaining: answer.backupCodesRemaining,
      };
    },
  );
}

function addStatusRoute(app: App, deps: LoginRoutesDeps): void {
  const refuse = (answer: Refusal) => refusalAnswer(answer, deps.clock.now());

  app.post(
    "/v1/status",
    {
      schema: {
        tags: ["login"],
        summary: "A user's MFA, for their settings page",
        body: UserRequest,
        response: { 200: StatusAnswer },
      },
      config: { scope: "login", problems: ofUser },
    },
    async ({ body }) => {
      const answer = await statusOf(deps, { name: body });
      if (answer.outcome !== "found") throw refuse(answer);
      return {
        user: userSummaryOf(answer.user),
        enrolled: answer.enrolled,
        enrolledAt: answer.enrolledAt?.toISOString() ?? null,
        required: answer.required,
        requiredBy: answer.requiredBy,
        backupCodesRemaining: answer.backupCodesRemaining,
        mayDisable: answer.mayDisable,
        passRequired: answer.passRequired,
      };
    },
  );
}

/** What users change in their own MFA. */
function addEnrollmentRoutes(app: App, deps: LoginRoutesDeps): void {
  const refuse = (answer: Refusal) => refusalAnswer(answer, deps.clock.now());

  app.post(
    "/v1/enrollment",
    {
      schema: {
        tags: ["login"],
        summary: "Begin an enrollment: a secret to scan",
        description:
          "In place of any begun before. To replace an active authenticator, `totp` must be a code of that one, or `backupCode` " +
          "one of its backup codes, where `mfa.replaceWithBackupCode` is on. Without one, `enrollmentPass` is a pass that was " +
          "handed out to the user; the configuration may require it. Each works once.",
        body: BeginEnrollmentRequest,
        response: { 201: EnrollmentAnswer },
      },
      config: {
        isEnrollment: true,
        scope: "login",
        problems: [...ofUser, ...ofCode, "already-enrolled", "not-enrolled", "enrollment-pass-required"],
      },
    },
    async (request, reply) => {
      const { username, directory, totp, backupCode, enrollmentPass } = request.body;
      const answer = await beginEnrollment(deps, {
        name: { username, directory },
        totpAsTyped: totp,
        backupCodeAsTyped: backupCode,
        passAsTyped: enrollmentPass,
        actor: callerActorOf(request),
        signal: request.waiting,
      });
      if (totp !== undefined) deps.metrics.countVerification("totp", answer.outcome);
      if (backupCode !== undefined) deps.metrics.countVerification("backup-code", answer.outcome);
      if (enrollmentPass !== undefined) deps.metrics.countVerification("enrollment-pass", answer.outcome);
      if (answer.outcome !== "begun") throw refuse(answer);
      return reply.code(201).send({
        secret: answer.secretPlain,
        uri: answer.uri,
        qrSvg: answer.qrSvg,
        qrPng: answer.qrPng,
        expiresAt: answer.expiresAt.toISOString(),
      });
    },
  );

  app.post(
    "/v1/enrollment/confirm",
    {
      schema: {
        tags: ["login"],
        summary: "Confirm an enrollment with its first code",
        description: "Activates the authenticator, and shows the backup codes this once.",
        body: TotpRequest,
        response: { 200: BackupCodesAnswer },
      },
      config: {
        isEnrollment: true,
        isChange: true,
        scope: "login",
        problems: [
          ...ofUser,
          ...ofCode,
          "not-enrolled",
          "already-enrolled",
          "enrollment-expired",
          "enrollment-pass-required",
        ],
      },
    },
    async (request) => {
      const answer = await confirmEnrollment(deps, totpInputOf(request));
      deps.metrics.countVerification("totp", answer.outcome);
      if (answer.outcome !== "confirmed") throw refuse(answer);
      return { backupCodes: answer.backupCodes };
    },
  );

  app.post(
    "/v1/enrollment/disable",
    {
      schema: {
        tags: ["login"],
        summary: "End MFA, by the user",
        description: "Needs a code of the authenticator; a backup code is not accepted.",
        body: TotpRequest,
        response: { 204: Nothing },
      },
      config: {
        isEnrollment: true,
        isChange: true,
        scope: "login",
        problems: [...ofUser, ...ofCode, "not-enrolled", "mfa-required"],
      },
    },
    async (request, reply) => {
      const answer = await disableMfa(deps, totpInputOf(request));
      deps.metrics.countVerification("totp", answer.outcome);
      if (answer.outcome !== "disabled") throw refuse(answer);
      return reply.code(204).send(null);
    },
  );

  app.post(
    "/v1/backup-codes/regenerate",
    {
      schema: {
        tags: ["login"],
        summary: "New backup codes; the old ones stop working",
        description: "Needs a code of the authenticator; a backup code is not accepted.",
        body: TotpRequest,
        response: { 200: BackupCodesAnswer },
      },
      config: {
        isEnrollment: true,
        isChange: true,
        scope: "login",
        problems: [...ofUser, ...ofCode, "not-enrolled"],
      },
    },
    async (request) => {
      const answer = await regenerateBackupCodes(deps, totpInputOf(request));
      deps.metrics.countVerification("totp", answer.outcome);
      if (answer.outcome !== "regenerated") throw refuse(answer);
      return { backupCodes: answer.backupCodes };
    },
  );
}

function totpInputOf(
  request: Parameters<typeof callerActorOf>[0] & { body: TotpBody; waiting: AbortSignal },
) {
  const { username, directory, totp } = request.body;
  const name = { username, directory };
  return { name, totpAsTyped: totp, actor: callerActorOf(request), signal: request.waiting };
}

type TotpBody = { username: string; directory?: string; totp: string };
