// A person's own settings. Every act is that of the API's login scope, through the same function and guard, with the person
// as actor.

import { listLatestAuditEvents } from "../audit/audit-events-table.ts";
import type { CodeRefusal } from "../verification/answers.ts";
import { beginEnrollment } from "../verification/begin-enrollment.ts";
import { confirmEnrollment } from "../verification/confirm-enrollment.ts";
import { disableMfa } from "../verification/disable-mfa.ts";
import { keyUriOf } from "../verification/key-uri.ts";
import { qrPicturesOf } from "../verification/qr-code.ts";
import { regenerateBackupCodes } from "../verification/regenerate-backup-codes.ts";
import { findStanding } from "../verification/standing-table.ts";
import type { ConsoleDeps } from "./deps.ts";
import { pauseUntil } from "./layout.ts";
import { deniedPage, notDone } from "./refusal-pages.ts";
import {
  type BegunEnrollment,
  backupCodesPage,
  registerDevicePage,
  type SettingsForm,
  settingsNotices,
  settingsPage,
} from "./settings-pages.ts";
import type { Answer, SessionAsked, Site } from "./site.ts";

const eventsShown = 10;

export function addSettingsRoutes(site: Site, deps: ConsoleDeps): void {
  const { verification } = deps;
  const { db } = verification;

  site.get("/settings", "own", (asked) => showSettings(asked));

  site.post("/settings/enrollment", "own", async (asked) => {
    const { form, name, actor, signal, visit, standing } = asked;
    const backupCode = form.get("backupCode");
    const pass = form.get("pass");
    const code = standing.authenticator && backupCode === null ? (form.get("code") ?? "") : undefined;
    const typed = {
      totpAsTyped: code,
      backupCodeAsTyped: standing.authenticator ? (backupCode ?? undefined) : undefined,
      passAsTyped: standing.authenticator || pass === null || pass === "" ? undefined : pass,
    };
    const answer = await beginEnrollment(verification, { name, actor, signal, ...typed });
    if (typed.totpAsTyped !== undefined) deps.metrics.countVerification("totp", answer.outcome);
    if (typed.backupCodeAsTyped !== undefined) deps.metrics.countVerification("backup-code", answer.outcome);
    if (typed.passAsTyped !== undefined) deps.metrics.countVerification("enrollment-pass", answer.outcome);
    if (answer.outcome === "begun" && answer.user.id === standing.user.id)
      return registerDevicePage(visit, answer);
    const place = !standing.authenticator
      ? "enable"
      : code === undefined
        ? "device-by-backup-code"
        : "device";
    return refuse(asked, place, answer);
  });

  site.post("/settings/enrollment/confirm", "own", async (asked) => {
    const { form, name, actor, signal, visit, standing } = asked;
    const totpAsTyped = form.get("code") ?? "";
    const answer = await confirmEnrollment(verification, { name, actor, signal, totpAsTyped });
    deps.metrics.countVerification("totp", answer.outcome);
    if (answer.outcome === "confirmed" && answer.user.id === standing.user.id) {
      const now = await findStanding(db, standing.user.id);
      // Both factors were shown: the password at the sign-in, and a code of what is the authenticator from now on.
      if (now?.authenticator) await site.enter(asked, { stage: "signed-in", standing: now });
      return backupCodesPage(visit, answer.backupCodes, "Multi-factor authentication is on.");
    }
    const begun = begunAgain(form.get("secret"), standing.user.username);
    if (begun && (answer.outcome === "code-rejected" || answer.outcome === "locked-out")) {
      return {
        page: registerDevicePage(visit, begun, codeText(answer, standing.now)),
        status: statusOf(answer),
      };
    }
    return refuse(asked, standing.authenticator ? "device" : "enable", answer);
  });

  site.post("/settings/backup-codes", "signed-in", async (asked) => {
    const { form, name, actor, signal, visit } = asked;
    const totpAsTyped = form.get("code") ?? "";
    const answer = await regenerateBackupCodes(verification, { name, actor, signal, totpAsTyped });
    deps.metrics.countVerification("totp", answer.outcome);
    if (answer.outcome === "regenerated" && answer.user.id === asked.standing.user.id)
      return backupCodesPage(visit, answer.backupCodes, "You have new backup codes.");
    return refuse(asked, "backup-codes", answer);
  });

  // The codes are nowhere but on the page: it sends them along, and gets them back as a file.
  site.post("/settings/backup-codes/file", "signed-in", async ({ form, visit }) => {
    const codes = (form.get("codes") ?? "").split(" ");
    const areCodes = codes.length <= 20 && codes.every((code) => /^[0-9A-Za-z-]{8,40}$/.test(code));
    if (!areCodes) return notDone(visit, 400, "These are no backup codes.", "/settings");
    return { file: `${codes.join("\n")}\n`, name: "backup-codes.txt", type: "text/plain; charset=utf-8" };
  });

  site.post("/settings/disable", "signed-in", async (asked) => {
    const { form, name, actor, signal, standing } = asked;
    const totpAsTyped = form.get("code") ?? "";
    const answer = await disableMfa(verification, { name, actor, signal, totpAsTyped });
    deps.metrics.countVerification("totp", answer.outcome);
    if (answer.outcome !== "disabled" || answer.user.id !== standing.user.id)
      return refuse(asked, "disable", answer);
    const now = await findStanding(db, standing.user.id);
    if (!now || now.authenticator) return { goTo: "/sign-in" };
    await site.enter(asked, { stage: "enroll", standing: now });
    return { goTo: "/settings?done=disabled" };
  });

  async function showSettings(
    { visit, standing, query }: SessionAsked,
    refused?: { form: SettingsForm; text: string },
  ) {
    return settingsPage(visit, {
      standing,
      events: await listLatestAuditEvents(db, { userId: standing.user.id, limit: eventsShown }),
      replaceWithBackupCode: verification.mfa.replaceWithBackupCode,
      notice: refused ? undefined : settingsNotices[query.get("done") ?? ""],
      refused,
    });
  }

  /** The settings again, with the form open in which it was refused. */
  async function refuse(
    asked: SessionAsked,
    form: SettingsForm,
    answer: { outcome: string },
  ): Promise<Answer> {
    const { outcome } = answer;
    if (outcome === "user-unknown" || outcome === "user-not-active" || outcome === "username-ambiguous") {
      await site.leave(asked);
      return { page: deniedPage(), status: 403 };
    }
    const now = (await findStanding(db, asked.standing.user.id)) ?? asked.standing;
    if (outcome === "code-rejected" || outcome === "locked-out") {
      const refusal = answer as CodeRefusal; // the two outcomes are no other's
      return {
        page: await showSettings({ ...asked, standing: now }, { form, text: codeText(refusal, now.now) }),
        status: statusOf(refusal),
      };
    }
    if (outcome === "enrollment-pass-required") {
      const text = "An enrollment pass is needed. Your help desk hands them out.";
      return { page: await showSettings({ ...asked, standing: now }, { form, text }), status: 403 };
    }
    return notDone(asked.visit, 409, conflictTexts[outcome] ?? "It could not be done now.", "/settings");
  }

  /** The same picture once more, from what the page had. Whoever changes it sees what they have sent, and confirms nothing. */
  function begunAgain(secretPlain: string | null, username: string): BegunEnrollment | undefined {
    if (secretPlain === null || !/^[A-Z2-7]{32}$/.test(secretPlain)) return undefined;
    const uri = keyUriOf({ issuer: verification.mfa.issuer, username, secretBase32: secretPlain });
    return { secretPlain, uri, qrSvg: qrPicturesOf(uri).svg };
  }
}

const conflictTexts: Readonly<Record<string, string>> = {
  "already-enrolled": "A device is registered already, here or in another window.",
  "not-enrolled": "There is no registered device any more.",
  "enrollment-expired": "This took too long. Register the device anew.",
  "mfa-required": "It is required of you, so it cannot be disabled.",
};

function statusOf(answer: CodeRefusal): number {
  return answer.outcome === "locked-out" ? 429 : 403;
}

function codeText(answer: CodeRefusal, now: Date): string {
  if (answer.outcome === "locked-out")
    return `There were too many wrong codes. ${pauseUntil(answer.lockedUntil, now)}`;
  return "This code was not accepted. Each code works once; wait for the next one.";
}
