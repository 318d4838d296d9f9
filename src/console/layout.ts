// What all pages of the console share: frame, navigation, forms, fields, tables, words for times. Typed templates and no
// script; values are escaped by the template (pages/html.ts).

import type { ConsoleRole } from "../config/config.ts";
import { type Html, type HtmlValue, html } from "../pages/html.ts";
import { everyRole } from "./roles.ts";
import type { Visit } from "./visit.ts";

/** Pages with a place in the navigation, and who has them there. */
const places: readonly { path: string; name: string; roles: readonly ConsoleRole[] }[] = [
  { path: "/users", name: "Users", roles: everyRole },
  { path: "/enrollment", name: "Enrollment", roles: ["admin", "auditor"] },
  { path: "/directories", name: "Directories", roles: ["admin", "auditor"] },
  { path: "/audit", name: "Audit", roles: ["admin", "auditor"] },
  { path: "/notices", name: "Notices", roles: ["admin", "auditor"] },
  { path: "/configuration", name: "Configuration", roles: ["admin", "auditor"] },
];

export interface PageOptions {
  /** Wider, for tables. */
  wide?: boolean;
  /** Above the title: the way back. */
  back?: { path: string; name: string };
}

export function page(visit: Visit, title: string, content: Html, options: PageOptions = {}): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · dirmfa</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="top">
<a class="brand" href="/">dirmfa</a>
${navigationOf(visit)}
</header>
<main id="main" tabindex="-1"${options.wide ? html` class="wide"` : undefined}>
${options.back && html`<p class="back"><a href="${options.back.path}">${options.back.name}</a></p>`}
<h1>${title}</h1>
${content}
</main>
</body>
</html>`;
}

function navigationOf(visit: Visit): Html | undefined {
  const { stage, user, roles } = visit;
  if (!user) return undefined;
  const shown =
    stage === "signed-in" ? places.filter((place) => place.roles.some((it) => roles.includes(it))) : [];
  const link = (path: string, name: string) =>
    html`<a href="${path}"${isHere(visit, path) ? html` aria-current="page"` : undefined}>${name}</a>`;
  return html`<nav aria-label="Main">
${shown.map(({ path, name }) => link(path, name))}
${stage === "challenge" ? undefined : link("/settings", "Settings")}
</nav>
<div class="who"><bdi class="name">${user.displayName ?? user.username}</bdi>${form(visit, "/sign-out", html`<button class="quiet">Sign out</button>`)}</div>`;
}

function isHere({ path }: Visit, place: string): boolean {
  if (place === "/directories" && path.startsWith("/runs/")) return true; // runs are of a directory
  return path === place || path.startsWith(`${place}/`);
}

export function form(visit: Visit, action: string, content: Html): Html {
  return html`<form method="post" action="${action}"><input type="hidden" name="form" value="${visit.formToken}">${content}</form>`;
}

/** Read out at once by screen readers, and named by the field that it is about. */
export function problem(text: string | undefined): Html | undefined {
  return text === undefined ? undefined : html`<p class="problem" role="alert" id="problem">${text}</p>`;
}

export function notice(text: string | undefined): Html | undefined {
  return text === undefined ? undefined : html`<p class="notice" role="status">${text}</p>`;
}

export interface CodeField {
  id: string;
  label: string;
  name?: string;
  kind?: "totp" | "backup-code" | "pass";
  hasFocus?: boolean;
  isWrong?: boolean;
}

export function codeField({ id, label, name = "code", kind = "totp", hasFocus, isWrong }: CodeField): Html {
  const how =
    kind === "totp"
      ? html`inputmode="numeric" autocomplete="one-time-code"`
      : html`autocomplete="off" autocapitalize="characters" spellcheck="false"`;
  return html`<label for="${id}">${label}</label>
<input class="code" id="${id}" name="${name}" ${how} maxlength="64" required${hasFocus ? html` autofocus` : undefined}${
    isWrong ? html` aria-invalid="true" aria-describedby="problem"` : undefined
  }>`;
}

/** Facts, one a line: a name and what it is. */
export function facts(rows: readonly (readonly [string, HtmlValue] | undefined)[]): Html {
  return html`<dl class="facts">${rows.map((row) =>
    row ? html`<div><dt>${row[0]}</dt><dd>${row[1]}</dd></div>` : html``,
  )}</dl>`;
}

export interface Column {
  name: string;
  /** Numbers stand at the right. */
  isNumber?: boolean;
}

/** A table that a small screen shows as cards: each cell then carries its column's name. */
export function table(
  caption: string,
  columns: readonly (string | Column)[],
  rows: readonly (readonly HtmlValue[])[],
  nothing: string,
): Html {
  if (rows.length === 0) return html`<p class="nothing">${nothing}</p>`;
  const heads = columns.map((column) => (typeof column === "string" ? { name: column } : column));
  const look = (index: number) => (heads[index]?.isNumber ? html` class="number"` : undefined);
  return html`<table><caption>${caption}</caption><thead><tr>${heads.map(
    ({ name }, index) => html`<th scope="col"${look(index)}>${name}</th>`,
  )}</tr></thead><tbody>${rows.map(
    (row) =>
      html`<tr>${row.map((cell, index) => html`<td data-name="${heads[index]?.name ?? ""}"${look(index)}>${cell}</td>`)}</tr>`,
  )}</tbody></table>`;
}

/** A time in UTC, since a server does not know the reader's zone. */
export function timeOf(time: Date | null | undefined): Html | undefined {
  if (!time) return undefined;
  const text = time.toISOString();
  return html`<time datetime="${text}">${text.slice(0, 10)} ${text.slice(11, 16)} UTC</time>`;
}

export function lengthOf(seconds: number): string {
  const minutes = Math.max(1, Math.round(seconds / 60));
  if (seconds < 60) return "less than a minute";
  if (minutes < 120) return minutes === 1 ? "a minute" : `${minutes} minutes`;
  const hours = Math.round(seconds / 3600);
  return hours < 48 ? `${hours} hours` : `${Math.round(seconds / 86_400)} days`;
}

/** In words, since the time of day would be that of the server. */
export function pauseUntil(until: Date | null | undefined, now: Date): string {
  if (!until) return "Try again later.";
  return `Try again in ${lengthOf(Math.max(60, (until.getTime() - now.getTime()) / 1000))}.`;
}

/** Small words in a box: a state. */
export function tag(text: string, look: "good" | "bad" | "faint" | "plain" = "plain"): Html {
  return html`<span class="tag ${look}">${text}</span>`;
}

export function options(choices: readonly (readonly [string, string])[], chosen: string | null): Html {
  return html`${choices.map(
    ([value, name]) =>
      html`<option value="${value}"${value === (chosen ?? "") ? html` selected` : undefined}>${name}</option>`,
  )}`;
}
