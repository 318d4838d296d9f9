// A user's own second factor: enrollment, asked for or wanted, and the settings page. Keeps an enrollment in the session
// between its two pages, since dirmfa shows a secret once.

import { type Client, DirmfaClientError, type Status } from "../../src/client/client.ts";
import {
  backupCodesPage,
  enrollmentIntroPage,
  enrollmentPage,
  outdatedPage,
  type SettingsForm,
  settingsPage,
} from "./pages.ts";
import type { Session } from "./sessions.ts";
import {
  type Answer,
  type Asked,
  atStage,
  isCodeRefusal,
  isPassMissing,
  requireSame,
  type Site,
} from "./site.ts";

export function addMfaRoutes({ get, post, enter, nameOf }: Site, { dirmfa }: { dirmfa: Client }): void {
  const enrolling = ["enroll", "signed-in"] as const;

  get(
    "/enrollment",
    atStage(enrolling, async ({ visit }, session) => {
      if (session.enrollment) return enrollmentPage(visit, session.enrollment);
      if (session.stage === "signed-in") return { goTo: "/settings" };
      const { enrollment } = await dirmfa.signIn(nameOf(session.user));
      return enrollmentIntroPage(visit, enrollment);
    }),
  );

  post(
    "/enrollment",
    atStage(enrolling, async (asked, session) => {
      const status = await statusOf(session);
      // Replacing an authenticator takes a code of it, and a session that is signed in by more than a password.
      const totp = session.stage === "signed-in" ? asked.form.get("code") : null;
      const enrollmentPass = asked.form.get("pass");
      try {
        session.enrollment = await dirmfa.beginEnrollment({
          ...nameOf(session.user),
          ...(totp === null ? {} : { totp }),
          ...(enrollmentPass === null ? {} : { enrollmentPass }),
        });
        return { goTo: "/enrollment" };
      } catch (error) {
        if (session.stage === "signed-in") return settingsAfter(error, asked, status, "change");
        if (!isCodeRefusal(error)) throw error;
        asked.reply.code(403);
        const { enrollment } = await dirmfa.signIn(nameOf(session.user));
        return enrollmentIntroPage(asked.visit, enrollment, error);
      }
    }),
  );

  post(
    "/enrollment/confirm",
    atStage(enrolling, async (asked, session) => {
      const { user, enrollment } = session;
      if (!enrollment) return { goTo: "/enrollment" };
      try {
        const totp = asked.form.get("code") ?? "";
        const { backupCodes } = await dirmfa.confirmEnrollment({ ...nameOf(user), totp });
        // Sent in answer to the form, and kept nowhere: they are shown this once.
        return backupCodesPage(enter(asked, { stage: "signed-in", user }), backupCodes);
      } catch (error) {
        if (error instanceof DirmfaClientError && error.status === 409) session.enrollment = undefined; // too late
        if (isPassMissing(error)) {
          session.enrollment = undefined; // begun without a pass, before one was asked for
          return { goTo: "/enrollment" };
        }
        if (!isCodeRefusal(error)) throw error;
        asked.reply.code(403);
        return enrollmentPage(asked.visit, enrollment, error);
      }
    }),
  );

  get(
    "/settings",
    atStage(["signed-in"], async ({ visit }, session) => {
      const { notice } = session;
      session.notice = undefined;
      return settingsPage(visit, await statusOf(session), { notice });
    }),
  );

  post(
    "/settings/backup-codes",
    atStage(["signed-in"], async (asked, session) => {
      const status = await statusOf(session);
      try {
        const totp = asked.form.get("code") ?? "";
        const { backupCodes } = await dirmfa.regenerateBackupCodes({ ...nameOf(session.user), totp });
        return backupCodesPage(asked.visit, backupCodes);
      } catch (error) {
        return settingsAfter(error, asked, status, "backup-codes");
      }
    }),
  );

  // The codes are nowhere but on the page: it sends them along, and gets them back as a file.
  post(
    "/backup-codes/file",
    atStage(["signed-in"], async ({ form, reply }) => {
      const codes = (form.get("codes") ?? "").split(" ");
      if (codes.length <= 20 && codes.every((code) => /^[0-9A-Za-z-]{8,40}$/.test(code)))
        return { file: `${codes.join("\n")}\n`, name: "backup-codes.txt" };
      reply.code(400);
      return outdatedPage();
    }),
  );

  post(
    "/settings/disable",
    atStage(["signed-in"], async (asked, session) => {
      const status = await statusOf(session);
      try {
        await dirmfa.disableMfa({ ...nameOf(session.user), totp: asked.form.get("code") ?? "" });
        session.notice = "Two-step sign-in is off.";
        return { goTo: "/settings" };
      } catch (error) {
        return settingsAfter(error, asked, status, "disable");
      }
    }),
  );

  async function statusOf({ user }: Session): Promise<Status> {
    const status = await dirmfa.status(nameOf(user));
    requireSame(user, status.user);
    return status;
  }

  function settingsAfter(
    error: unknown,
    { visit, reply }: Asked,
    status: Status,
    form: SettingsForm,
  ): Answer {
    if (!isCodeRefusal(error)) throw error;
    reply.code(403);
    return settingsPage(visit, status, { refusal: error, form });
  }
}
