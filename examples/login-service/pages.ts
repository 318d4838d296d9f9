// What users see. Plain functions from what is known to HTML: no page asks anybody anything, and none needs JavaScript.

import { DirmfaClientError, type Enrollment, type SignIn, type Status } from "../../src/client/client.ts";
import { type Html, html } from "../../src/pages/html.ts";
import type { Session, Visit } from "./sessions.ts";

export type Method = SignIn["methods"][number];

function page(title: string, content: Html, visit?: Visit): Html {
  const isSignedIn = visit?.session?.stage === "signed-in";
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · Example</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header>
<a class="brand" href="/">Example</a>
${isSignedIn ? html`<nav><a href="/settings">Settings</a>${button(visit, "/sign-out", "Sign out", "plain")}</nav>` : undefined}
</header>
<main>
<h1>${title}</h1>
${content}
</main>
</body>
</html>`;
}

function form(visit: Visit, action: string, content: Html): Html {
  return html`<form method="post" action="${action}"><input type="hidden" name="csrf" value="${visit.csrfToken}">${content}</form>`;
}

function button(visit: Visit, action: string, text: string, look: "primary" | "plain" = "primary"): Html {
  return form(visit, action, html`<button class="${look}">${text}</button>`);
}

/** Read out at once by screen readers, and named by the field that it is about. */
function problem(text: string | undefined): Html | undefined {
  return text === undefined ? undefined : html`<p class="problem" role="alert" id="problem">${text}</p>`;
}

function noticeOf(text: string | undefined): Html | undefined {
  return text === undefined ? undefined : html`<p class="notice" role="status">${text}</p>`;
}

const focus = html`autofocus`;

interface CodeField {
  label: string;
  /** Unique in the page. */
  id?: string;
  hasFocus?: boolean;
}

function totpField({ label, id = "code", hasFocus = true }: CodeField): Html {
  return html`<label for="${id}">${label}</label>
<input class="code" id="${id}" name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="64" required
 ${hasFocus ? focus : undefined} aria-describedby="problem">`;
}

/** The forms of the settings that take a code. */
export type SettingsForm = "backup-codes" | "change" | "disable";

/** What the help desk gives to those who enroll, where dirmfa asks for it: the password alone enrolls nobody. */
function passField({ hasFocus }: { hasFocus: boolean }): Html {
  return html`<label for="pass">Enrollment pass</label>
<input class="code" id="pass" name="pass" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="64"
 required ${hasFocus ? focus : undefined} aria-describedby="problem pass-hint">
<p id="pass-hint">Your help desk gives it to you. It works once.</p>`;
}

/** Begins an enrollment. */
function enrollmentForm(visit: Visit, text: string, field: Html | undefined): Html {
  return form(visit, "/enrollment", html`${field}<button class="primary">${text}</button>`);
}

/** In words, since a server does not know the user's time zone. */
function pauseUntil(until: Date | string | null | undefined): string {
  if (!until) return "Try again later.";
  const minutes = Math.max(1, Math.ceil((new Date(until).getTime() - Date.now()) / 60_000));
  if (minutes < 120) return `Try again in ${minutes === 1 ? "a minute" : `${minutes} minutes`}.`;
  return `Try again in ${Math.ceil(minutes / 60)} hours.`;
}

function dateOf(instant: string): string {
  return new Intl.DateTimeFormat("en", { dateStyle: "long", timeZone: "UTC" }).format(new Date(instant));
}

export function signInPage(
  visit: Visit,
  { returnTo, usernameAsTyped }: { returnTo?: string | undefined; usernameAsTyped?: string },
): Html {
  const isWrong = usernameAsTyped !== undefined;
  const content = html`${problem(isWrong ? "The user name or the password is not right." : undefined)}
${returnTo === undefined ? undefined : html`<input type="hidden" name="rd" value="${returnTo}">`}
<label for="username">User name</label>
<input id="username" name="username" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="1024"
 required ${isWrong ? undefined : focus} value="${usernameAsTyped}" aria-describedby="problem">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="1024"
 required ${isWrong ? focus : undefined}>
<button class="primary">Sign in</button>`;
  return page("Sign in", form(visit, "/sign-in", content), visit);
}

export function codePage(
  visit: Visit,
  { method, isWrong, answer }: { method: Method; isWrong: boolean; answer: SignIn },
): Html {
  const others = answer.methods.filter((other) => other !== method);
  const links = html`<p>${others.map((other) =>
    other === "totp"
      ? html`<a href="/sign-in/code">Use a code from your app</a>`
      : html`<a href="/sign-in/backup-code">Use a backup code</a>`,
  )}</p><p><a href="/sign-in">Start again</a></p>`;
  if (!answer.methods.includes(method)) {
    const kind = method === "totp" ? "codes from your app" : "backup codes";
    if (answer.lockedUntil === null)
      return page("None left", html`${problem(`You have no ${kind} left.`)}${links}`, visit);
    const wrong = `There were too many wrong ${kind}. ${pauseUntil(answer.lockedUntil)}`;
    return page("Paused", html`${problem(wrong)}${links}`, visit);
  }
  const wrong = isWrong ? "This code was not accepted. Each code works once." : undefined;
  if (method === "totp") {
    const content = html`${problem(wrong)}
<p>Type the six digits that your authenticator app shows now.</p>
${totpField({ label: "Code" })}
<button class="primary">Continue</button>`;
    return page("Enter your code", html`${form(visit, "/sign-in/code", content)}${links}`, visit);
  }
  const content = html`${problem(wrong)}
<p>Type one of the codes that you kept when you set up two-step sign-in. It works this once.</p>
<label for="code">Backup code</label>
<input class="code" id="code" name="code" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="64"
 required autofocus aria-describedby="problem">
<button class="primary">Continue</button>`;
  return page("Use a backup code", html`${form(visit, "/sign-in/backup-code", content)}${links}`, visit);
}

export function enrollmentIntroPage(visit: Visit, enrollment: SignIn["enrollment"], refusal?: unknown): Html {
  const until =
    enrollment?.mayDefer && enrollment.deadline ? ` You have until ${dateOf(enrollment.deadline)}.` : "";
  return page(
    "Protect your account",
    html`${problem(refusalText(refusal, "pass"))}
<p>Your organization asks you for a second step at sign-in: a code from an app on your phone.${until}</p>
<p>Get an authenticator app first, if you have none: Google Authenticator, Microsoft Authenticator, Authy, FreeOTP or another.</p>
${enrollmentForm(visit, "Set it up", enrollment?.passRequired ? passField({ hasFocus: refusal !== undefined }) : undefined)}
${enrollment?.mayDefer ? button(visit, "/sign-in/later", "Later", "plain") : undefined}`,
    visit,
  );
}

export function enrollmentPage(visit: Visit, { qrSvg, secret, uri }: Enrollment, refusal?: unknown): Html {
  const qr = `data:image/svg+xml;base64,${Buffer.from(qrSvg).toString("base64")}`;
  const content = html`${totpField({ label: "Type the code that it shows", hasFocus: refusal !== undefined })}
<button class="primary">Turn on</button>`;
  return page(
    "Set up your app",
    html`${problem(refusalText(refusal, "code"))}
<ol class="steps">
<li><p>Add it to your authenticator app.</p>
<div class="ways">
<p class="here"><a class="plain" href="${uri}">Open it in the app</a> on this phone</p>
<div><p>Or scan this with the app on another phone:</p>
<img class="qr" src="${qr}" alt="QR code for the authenticator app; the key below says the same" width="220" height="220"></div>
</div>
<details><summary>I cannot scan it</summary>
<p>Type this key into the app, as a time-based one:</p>
<p><code class="secret">${secret.replace(/(.{4})(?=.)/g, "$1 ")}</code></p>
</details></li>
<li>${form(visit, "/enrollment/confirm", content)}</li>
</ol>`,
    visit,
  );
}

export function backupCodesPage(visit: Visit, backupCodes: readonly string[]): Html {
  return page(
    "Keep your backup codes",
    html`${noticeOf("Two-step sign-in is on.")}
<p>Without your phone, one of these lets you in. Each works once. <strong>They are not shown again</strong>: print them, or keep
them where you keep passwords. Earlier backup codes no longer work.</p>
<ul class="codes">${backupCodes.map((code) => html`<li><code>${code}</code></li>`)}</ul>
<div class="noprint">
<label for="copy">To copy: select all of it</label>
<textarea id="copy" readonly rows="${backupCodes.length}">${backupCodes.join("\n")}</textarea>
${form(visit, "/backup-codes/file", html`<input type="hidden" name="codes" value="${backupCodes.join(" ")}"><button class="plain">Download as a text file</button>`)}
<p>To print them, print this page: the codes alone are on the paper.</p>
<p><a class="primary" href="/">I have kept them</a></p>
</div>`,
    visit,
  );
}

export function homePage(
  visit: Visit,
  user: Session["user"],
  { notice, returnTo }: { notice: string | undefined; returnTo: string | undefined },
): Html {
  return page(
    `Hello, ${user.displayName}`,
    html`${noticeOf(notice)}<p>You are signed in as <strong>${user.username}</strong>.</p>
${returnTo === undefined ? undefined : html`<p><a href="${returnTo}">Continue to ${new URL(returnTo).host}</a></p>`}`,
    visit,
  );
}

export function settingsPage(
  visit: Visit,
  status: Status,
  { notice, refusal, form: refused }: { notice?: string | undefined; refusal?: unknown; form?: SettingsForm },
): Html {
  const wrong = problem(refusalText(refusal, status.enrolled ? "code" : "pass"));
  const top = html`${status.enrolled && refused ? undefined : wrong}${noticeOf(notice)}`;
  if (!status.enrolled) {
    const content = html`${top}<p>Two-step sign-in is <strong>off</strong>. With it, a stolen password alone lets nobody in: a code from an app
on your phone is asked as well.</p>${enrollmentForm(visit, "Turn on", status.passRequired ? passField({ hasFocus: refusal !== undefined }) : undefined)}`;
    return page("Two-step sign-in", content, visit);
  }
  const since = status.enrolledAt === null ? "" : ` since ${dateOf(status.enrolledAt)}`;
  // A form whose code was refused stays open, with what is wrong beside it.
  const change = (name: SettingsForm, title: string, text: string, action: string) => {
    const isWrong = refused === name;
    return html`<details${isWrong ? html` open` : undefined}><summary>${title}</summary>${form(
      visit,
      action,
      html`${isWrong ? wrong : undefined}<p>${text}</p>${totpField({ label: "Code from your app", id: `code-for-${name}`, hasFocus: isWrong })}<button class="primary">${title}</button>`,
    )}</details>`;
  };
  return page(
    "Two-step sign-in",
    html`${top}<p>Two-step sign-in is <strong>on</strong>${since}. Backup codes left: <strong>${status.backupCodesRemaining}</strong>.</p>
${change("backup-codes", "New backup codes", "All the old ones stop working.", "/settings/backup-codes")}
${change("change", "Change to another phone or app", "The present one works until the new one is confirmed.", "/enrollment")}
${
  status.mayDisable
    ? change("disable", "Turn off", "Your password alone will let you in.", "/settings/disable")
    : html`<p>Your organization requires it, so it cannot be turned off.</p>`
}`,
    visit,
  );
}

function refusalText(refusal: unknown, kind: "code" | "pass"): string | undefined {
  if (refusal === undefined) return undefined;
  if (refusal instanceof DirmfaClientError && refusal.code === "locked-out") {
    const wrong = kind === "code" ? "codes" : "enrollment passes";
    return `There were too many wrong ${wrong}. ${pauseUntil(refusal.lockedUntil)}`;
  }
  return kind === "code"
    ? "This code was not accepted. Each code works once; wait for the next one."
    : "This pass was not accepted. Each works once, and for some time; your help desk can give you another one.";
}

export function lockedOutPage(until: Date | string | null | undefined): Html {
  return page(
    "Paused",
    html`${problem(`There were too many wrong codes. ${pauseUntil(until)}`)}
<p>If it was not you who typed them, tell your help desk: somebody may know your password.</p>
<p><a href="/sign-in">Back to the sign-in</a></p>`,
  );
}

export function deniedPage(): Html {
  return page(
    "No access",
    html`${problem("You cannot sign in with this user.")}<p>Your help desk can tell you why.</p><p><a href="/sign-in">Back to the sign-in</a></p>`,
  );
}

export function unavailablePage(): Html {
  return page(
    "Not available",
    html`${problem("Signing in is not possible at the moment.")}<p>It is not your fault. Try again in a few minutes.</p><p><a href="/">Try again</a></p>`,
  );
}

export function outdatedPage(): Html {
  return page(
    "Out of date",
    html`${problem("This page is out of date, and nothing was changed.")}<p><a href="/">Start again</a></p>`,
  );
}

export function notFoundPage(): Html {
  return page(
    "No such page",
    html`<p>There is nothing at this address.</p><p><a href="/">Back to the start</a></p>`,
  );
}
