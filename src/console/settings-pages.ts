// A person's own settings: MFA on and off, the device, the backup codes, what happened lately.

import type { AuditEvent } from "../audit/audit-events-table.ts";
import { type Html, html } from "../pages/html.ts";
import { decideRequirement } from "../users/policy.ts";
import type { BeginEnrollmentAnswer } from "../verification/answers.ts";
import type { Standing } from "../verification/standing-table.ts";
import { codeField, facts, form, notice, page, problem, table, tag, timeOf } from "./layout.ts";
import type { Visit } from "./visit.ts";
import { eventText, reasonText, viaNames } from "./words.ts";

export interface SettingsState {
  standing: Standing;
  events: readonly AuditEvent[];
  /** A backup code may take the place of a code to register another device. */
  replaceWithBackupCode: boolean;
  notice?: string | undefined;
  /** A code that was refused, and the form that it was typed into: that one stays open. */
  refused?: { form: SettingsForm; text: string } | undefined;
}

export type SettingsForm = "enable" | "backup-codes" | "device" | "device-by-backup-code" | "disable";

export function settingsPage(visit: Visit, state: SettingsState): Html {
  const { standing } = state;
  const { user, authenticator, backupCodes } = standing;
  const { required, requiredBy } = decideRequirement(user);
  const why = required ? requiredBy.map(reasonText).join("; ") : undefined;
  const isOn = authenticator !== undefined;
  const top = html`${notice(state.notice)}${facts([
    ["Multi-factor authentication", isOn ? tag("On", "good") : tag("Off", required ? "bad" : "faint")],
    isOn ? ["Since", timeOf(authenticator.confirmedAt)] : undefined,
    isOn ? ["Backup codes left", backupCodes?.remaining ?? 0] : undefined,
    ["Required of you", required ? `Yes: ${why}` : "No"],
  ])}`;
  const parts = isOn ? onParts(visit, state, required) : offParts(visit, state);
  return page(
    visit,
    "Settings",
    html`${top}${parts}${lately(state.events, `${user.username} (${user.directory})`)}`,
  );
}

function offParts(visit: Visit, { standing, refused }: SettingsState): Html {
  const { user } = standing;
  const needsPass = user.policyRequires.enrollmentPass;
  const pass = codeField({
    id: "pass",
    name: "pass",
    label: "Enrollment pass, from your help desk",
    kind: "pass",
    isWrong: refused?.form === "enable",
  });
  return html`<section aria-labelledby="enable"><h2 id="enable">Enable Multi-Factor Authentication</h2>
${refused?.form === "enable" ? problem(refused.text) : undefined}
<p>With it, a stolen password alone lets nobody in: a code from an app on your phone is asked as well. Get an authenticator app
first, if you have none: Google Authenticator, Microsoft Authenticator, Authy, FreeOTP or another.</p>
${form(visit, "/settings/enrollment", html`${needsPass ? pass : undefined}<button class="primary">Register Device</button>`)}
</section>`;
}

function onParts(visit: Visit, state: SettingsState, required: boolean): Html {
  const { refused, standing, replaceWithBackupCode } = state;
  const part = (
    name: SettingsForm,
    title: string,
    text: string,
    action: string,
    field: { label: string; kind?: "backup-code"; button?: string; look?: string },
  ) => {
    const isWrong = refused?.form === name;
    const code = codeField({
      id: `code-${name}`,
      label: field.label,
      name: field.kind ? "backupCode" : "code",
      ...(field.kind ? { kind: field.kind } : {}),
      isWrong,
      hasFocus: isWrong,
    });
    return html`<details${isWrong ? html` open` : undefined}><summary>${title}</summary>${form(
      visit,
      action,
      html`${isWrong ? problem(refused?.text) : undefined}<p>${text}</p>${code}<button class="${field.look ?? "primary"}">${field.button ?? title}</button>`,
    )}</details>`;
  };
  const label = "Code from your app";
  const remaining = standing.backupCodes?.remaining ?? 0;
  return html`<section aria-labelledby="change"><h2 id="change">Change</h2>
${part("backup-codes", "Regenerate Backup Codes", "You get new backup codes. All the old ones stop working.", "/settings/backup-codes", { label })}
${part("device", "Register Device", "Another phone or app takes the place of the present one, which works until the new one is confirmed.", "/settings/enrollment", { label })}
${
  replaceWithBackupCode && remaining > 0
    ? part(
        "device-by-backup-code",
        "Use backup code to register a device",
        "For a phone that is lost. The backup code is used up by it.",
        "/settings/enrollment",
        { label: "Backup code", kind: "backup-code", button: "Use backup code" },
      )
    : undefined
}
${
  required
    ? html`<p class="faint">It is required of you, so it cannot be disabled.</p>`
    : part(
        "disable",
        "Disable Multi-Factor Authentication",
        "Your password alone will let you in, and whoever else has it.",
        "/settings/disable",
        { label, look: "danger" },
      )
}</section>`;
}

function lately(events: readonly AuditEvent[], self: string): Html {
  return html`<section aria-labelledby="lately"><h2 id="lately">What happened lately</h2>
${table(
  "Newest first",
  ["When", "What", "By"],
  events.map((event) => [
    timeOf(event.at),
    eventText(event),
    event.actor === self && event.via === "console" ? "You, here" : `${event.actor}, ${viaNames[event.via]}`,
  ]),
  "Nothing yet.",
)}
<p class="faint">Something here that was not you? Tell your help desk.</p></section>`;
}

export type BegunEnrollment = Pick<
  Extract<BeginEnrollmentAnswer, { outcome: "begun" }>,
  "secretPlain" | "uri" | "qrSvg"
>;

/** The secret goes back and forth with the form, so that a refused code can be typed again beside the same picture. */
export function registerDevicePage(visit: Visit, begun: BegunEnrollment, wrong?: string): Html {
  const qr = `data:image/svg+xml;base64,${Buffer.from(begun.qrSvg).toString("base64")}`;
  const isWrong = wrong !== undefined;
  const confirm = html`<input type="hidden" name="secret" value="${begun.secretPlain}">${codeField({
    id: "code",
    label: "Type the six digits that it shows",
    hasFocus: isWrong,
    isWrong,
  })}<button class="primary">Enable</button>`;
  return page(
    visit,
    "Register Device",
    html`${problem(wrong)}
<ol class="steps">
<li><h2>Add it to your authenticator app</h2>
<div class="ways">
<div class="here"><h3>On this phone</h3><p><a class="button" href="${begun.uri}">Open it in the app</a></p></div>
<div><h3>With another phone</h3><p>Scan this with the app.</p>
<img class="qr" src="${qr}" alt="QR code for the authenticator app; the key below says the same" width="220" height="220"></div>
</div>
<h3>By hand</h3><p>Type this key into the app, as a time-based one.</p>
<p><code class="secret">${begun.secretPlain.replace(/(.{4})(?=.)/g, "$1 ")}</code></p></li>
<li><h2>Confirm</h2>${form(visit, "/settings/enrollment/confirm", confirm)}</li>
</ol>`,
    { back: { path: "/settings", name: "Settings" } },
  );
}

export function backupCodesPage(visit: Visit, backupCodes: readonly string[], done: string): Html {
  const text = backupCodes.join("\n");
  return page(
    visit,
    "Your backup codes",
    html`${notice(done)}
<p>Without your phone, one of these lets you in. Each works once. <strong>They are not shown again</strong>: keep them now. Earlier
backup codes no longer work.</p>
<ul class="codes">${backupCodes.map((code) => html`<li><code>${code}</code></li>`)}</ul>
<div class="noprint">
<label for="copy">To copy: select all of it</label>
<textarea id="copy" class="copy" readonly rows="${Math.min(12, backupCodes.length)}">${text}</textarea>
${form(visit, "/settings/backup-codes/file", html`<input type="hidden" name="codes" value="${backupCodes.join(" ")}"><button class="plain">Download as a text file</button>`)}
<p>To print them, print this page: the codes alone are on the paper.</p>
<p><a class="primary" href="/settings">I have kept them</a></p>
</div>`,
  );
}

/** What is left after MFA was disabled. */
export const settingsNotices: Readonly<Record<string, string>> = {
  disabled:
    "Multi-factor authentication is off. The console asks for it, so this is all of it that is left open to you.",
};
