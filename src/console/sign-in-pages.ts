// The pages before one is signed in: user name and password, then a code.

import { type Html, html } from "../pages/html.ts";
import type { Method, SignInDecision } from "../verification/answers.ts";
import { codeField, form, options, page, pauseUntil, problem } from "./layout.ts";
import type { Visit } from "./visit.ts";

export function signInPage(
  visit: Visit,
  directories: readonly string[],
  refused?: { text: string; usernameAsTyped: string },
): Html {
  const focus = html` autofocus`;
  const invalid = refused && html` aria-invalid="true" aria-describedby="problem"`;
  const choice =
    directories.length > 1
      ? html`<label for="directory">Directory</label>
<select id="directory" name="directory">${options([["", "Any"], ...directories.map((name) => [name, name] as const)], null)}</select>`
      : undefined;
  const content = html`${problem(refused?.text)}
<label for="username">User name</label>
<input id="username" name="username" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="1024"
 required${refused ? undefined : focus} value="${refused?.usernameAsTyped}"${invalid}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="1024" required${refused ? focus : undefined}${invalid}>
${choice}
<button class="primary">Sign in</button>`;
  return page(
    visit,
    "Sign in",
    html`<p class="faint">With your user name and password of the organization's directory. Then you are asked for a code.</p>${form(visit, "/sign-in", content)}`,
  );
}

export const wrongPasswordText = (directories: readonly string[]) =>
  `The user name or the password is not right.${
    directories.length > 1 ? " If your name is in more than one directory, choose yours." : ""
  }`;

const paths: Readonly<Record<Method, string>> = {
  totp: "/sign-in/code",
  "backup-code": "/sign-in/backup-code",
};

export function codePage(
  visit: Visit,
  {
    method,
    decision,
    now,
    wrong,
  }: { method: Method; decision: SignInDecision; now: Date; wrong?: string | undefined },
): Html {
  const others = decision.methods.filter((other) => other !== method);
  const links = html`<div class="links">${others.map((other) =>
    other === "totp"
      ? html`<p><a href="${paths.totp}">Use a code from your app</a></p>`
      : html`<p><a href="${paths["backup-code"]}">Use backup code</a></p>`,
  )}${form(visit, "/sign-out", html`<button class="link">Start again as somebody else</button>`)}</div>`;
  if (!decision.methods.includes(method)) {
    const kind = method === "totp" ? "codes from your app" : "backup codes";
    const text =
      decision.lockedUntil === null
        ? `You have no ${kind} left.`
        : `There were too many wrong ${kind}. ${pauseUntil(decision.lockedUntil, now)}`;
    return page(
      visit,
      "Paused",
      html`${problem(text)}<p>If it was not you who typed them, tell your help desk: somebody may know your password.</p>${links}`,
    );
  }
  const isWrong = wrong !== undefined;
  const [title, text, field] =
    method === "totp"
      ? ([
          "Enter your code",
          "Type the six digits that your authenticator app shows now.",
          codeField({ id: "code", label: "Code", hasFocus: true, isWrong }),
        ] as const)
      : ([
          "Use backup code",
          "Type one of the backup codes that you kept. It works this once.",
          codeField({ id: "code", label: "Backup code", kind: method, hasFocus: true, isWrong }),
        ] as const);
  return page(
    visit,
    title,
    html`${form(visit, paths[method], html`${problem(wrong)}<p>${text}</p>${field}<button class="primary">Continue</button>`)}${links}`,
  );
}
