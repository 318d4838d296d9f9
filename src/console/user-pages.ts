// Users as admins, the help desk and auditors see them: the list, one user, and a pass that was handed out.

import type { AuditEvent } from "../audit/audit-events-table.ts";
import { type Html, html } from "../pages/html.ts";
import { decideRequirement } from "../users/policy.ts";
import type { User } from "../users/user.ts";
import type { ListedUser } from "../users/users-table.ts";
import {
  type Identification,
  type IssuedPass,
  identifications,
  type VerificationState,
} from "../verification/answers.ts";
import { explainSignIn, kindNames } from "../verification/explain-sign-in.ts";
import type { Standing } from "../verification/standing-table.ts";
import { facts, form, notice, options, page, problem, table, tag, timeOf } from "./layout.ts";
import type { Visit } from "./visit.ts";
import { eventText, requirementText, stateNames, viaNames } from "./words.ts";

export interface UserListFilter {
  search: string;
  state: string;
  directory: string;
  group: string;
  required: string;
  enrolled: string;
  locked: string;
}

const yesNo = (yes: string, no: string) =>
  [
    ["", "Any"],
    ["true", yes],
    ["false", no],
  ] as const;

export function usersPage(
  visit: Visit,
  list: {
    filter: UserListFilter;
    directories: readonly string[];
    users: readonly ListedUser[];
    next: string | null;
  },
): Html {
  const { filter, directories, users, next } = list;
  const choice = (
    name: keyof UserListFilter,
    label: string,
    choices: readonly (readonly [string, string])[],
  ) =>
    html`<div><label for="${name}">${label}</label><select id="${name}" name="${name}">${options(choices, filter[name])}</select></div>`;
  const filters = html`<form class="filters" method="get" action="/users" role="search">
<div class="search"><label for="search">Search</label><input id="search" name="search" type="search" maxlength="256" value="${filter.search}"></div>
${choice("state", "State", [["", "Any"], ...Object.entries(stateNames)])}
${directories.length > 1 ? choice("directory", "Directory", [["", "Any"], ...directories.map((name) => [name, name] as const)]) : undefined}
<div><label for="group">Group</label><input id="group" name="group" maxlength="2000" autocapitalize="none" value="${filter.group}"></div>
${choice("required", "MFA required", yesNo("Required", "Not required"))}
${choice("enrolled", "MFA", yesNo("On", "Off"))}
${choice("locked", "Locked", yesNo("Locked", "Not locked"))}
<button class="primary">Show</button></form>`;
  const rows = users.map((user) => {
    const { required } = decideRequirement(user);
    return [
      html`<a href="/users/${user.id}">${user.username}</a>`,
      user.displayName ?? undefined,
      directories.length > 1 ? user.directory : undefined,
      user.locked ? html`${stateTag(user.state)} ${tag("Locked", "bad")}` : stateTag(user.state),
      user.enrolled ? tag("On", "good") : tag("Off", required && user.state === "active" ? "bad" : "faint"),
      user.state === "removed" ? undefined : required ? "Required" : "Optional",
    ].filter((_, column) => column !== 2 || directories.length > 1);
  });
  const columns = ["User name", "Name", "Directory", "State", "MFA", "MFA required"].filter(
    (_, column) => column !== 2 || directories.length > 1,
  );
  return page(
    visit,
    "Users",
    html`${filters}${table(`${users.length} shown${next ? ", and there are more" : ""}`, columns, rows, "Nobody matches.")}
${next && html`<p><a class="button" href="${next}">Next page</a></p>`}`,
    { wide: true },
  );
}

function stateTag(state: User["state"]): Html {
  return tag(stateNames[state], state === "active" ? "plain" : "faint");
}

export interface UserState {
  standing: Standing;
  verification: VerificationState;
  directories: readonly string[];
  events: readonly AuditEvent[];
  olderEvents: string | undefined;
  notice?: string | undefined;
  refused?: string | undefined;
}

export function userPage(visit: Visit, state: UserState): Html {
  const { standing, verification, directories } = state;
  const { user } = standing;
  const answer = explainSignIn(standing, directories, verification.passUntil);
  const { deadline } = decideRequirement(user);
  const locked = verification.lockouts.filter(({ lockedUntil }) => lockedUntil !== null);
  const failed = verification.lockouts.filter(({ failures }) => failures > 0);
  const content = html`${notice(state.notice)}${problem(state.refused)}
<div class="answer ${answer.can ? "good" : "bad"}"><p><strong>${answer.can ? "Can sign in." : "Cannot sign in."}</strong> ${answer.text}</p></div>
<div class="columns">${actsOf(visit, state)}<div>
<h2>User</h2>
${facts([
  ["User name", user.username],
  user.email ? ["E-mail", user.email] : undefined,
  ["State", stateTag(user.state)],
  ["Directory", user.directory],
  ["DN", user.dn],
  ["Groups", user.groups.length === 0 ? "None" : user.groups.map(({ name }) => name).join(", ")],
  ["Known since", timeOf(user.createdAt)],
  user.removedAt ? ["Removed", timeOf(user.removedAt)] : undefined,
])}
<h2>MFA</h2>
${facts([
  ["MFA", verification.enrolledAt ? tag("On", "good") : tag("Off", "faint")],
  verification.enrolledAt ? ["Since", timeOf(verification.enrolledAt)] : undefined,
  verification.enrolledAt ? ["Backup codes left", verification.backupCodesRemaining] : undefined,
  ["MFA required", requirementText(user)],
  !verification.enrolledAt && deadline ? ["Must enroll by", timeOf(deadline)] : undefined,
  verification.pendingUntil ? ["Is enrolling until", timeOf(verification.pendingUntil)] : undefined,
  verification.passUntil ? ["Enrollment pass until", timeOf(verification.passUntil)] : undefined,
  ...locked.map(
    ({ method, lockedUntil }) =>
      [`Locked: ${kindNames[method]}`, html`until ${timeOf(lockedUntil)}`] as const,
  ),
  ...failed.map(({ method, failures }) => [`Wrong ${kindNames[method]} in a row`, failures] as const),
])}
</div></div>
<h2 id="history">History</h2>
${table(
  "Newest first",
  ["When", "What", "By", "Through"],
  state.events.map((event) => [timeOf(event.at), eventText(event), event.actor, viaNames[event.via]]),
  "Nothing yet.",
)}
${state.olderEvents && html`<p><a class="button" href="${state.olderEvents}">Older</a></p>`}`;
  return page(visit, user.displayName ?? user.username, content, {
    wide: true,
    back: { path: "/users", name: "Users" },
  });
}

const identificationTexts: Readonly<Record<Identification, string>> = {
  "in-person": "They stand before me, and I know them or saw a document",
  "called-back": "I called them back at the number that the organization has",
  vouched: "Their superior has vouched for them",
};

/** The same where there is less room. */
const identificationNames: Readonly<Record<Identification, string>> = {
  "in-person": "They stand before me",
  "called-back": "I called a number that we had",
  vouched: "Their superior has vouched",
};

function actsOf(visit: Visit, { standing, verification }: UserState): Html | undefined {
  const { user } = standing;
  const isAdmin = visit.roles.includes("admin");
  if (!isAdmin && !visit.roles.includes("helpDesk")) return undefined;
  const path = `/users/${user.id}`;
  const isOn = verification.enrolledAt !== null;
  const isLocked = verification.lockouts.some(({ failures, lockedUntil }) => failures > 0 || lockedUntil);
  const act = (title: string, content: Html) => html`<h3>${title}</h3>${content}`;
  const unlock = isLocked
    ? act("Locked or mistyped", form(visit, `${path}/unlock`, html`<button>Unlock</button>`))
    : undefined;
  const pass =
    !isOn && user.state !== "removed"
      ? act(
          "Enrollment pass",
          form(
            visit,
            `${path}/enrollment-pass`,
            html`<fieldset><legend>How do you know that it is them?</legend>${identifications.map(
              (value) =>
                html`<label class="tick"><input type="radio" name="identified" value="${value}" required><span>${identificationTexts[value]}</span></label>`,
            )}</fieldset><button>Hand out an enrollment pass</button>`,
          ),
        )
      : undefined;
  if (!isAdmin) {
    const reset = isOn
      ? html`<p class="faint">The phone is lost, and there are no backup codes? Only an admin can disable MFA.</p>`
      : undefined;
    return panel(html`${unlock}${pass}${reset}`);
  }
  const disable = isOn
    ? act(
        "MFA",
        form(
          visit,
          `${path}/disable-mfa`,
          html`<label class="tick"><input type="checkbox" name="sure" value="yes" required><span>End it without a code: the registered device and the backup codes stop working.</span></label>
<label class="tick"><input type="checkbox" name="issuePass" value="yes"><span>Hand out an enrollment pass with it</span></label>
<label for="identified">For a pass: how do you know that it is them?</label><select id="identified" name="identified">${options([["", "Not asked"], ...identifications.map((value) => [value, identificationNames[value]] as const)], "")}</select>
<button class="danger">MFA: Disable</button>`,
        ),
      )
    : undefined;
  const required = act(
    "MFA (required)",
    user.requiredByAdmin === true
      ? form(
          visit,
          `${path}/mfa-required`,
          html`<label for="required">Of this user</label><select id="required" name="required">${options(
            [
              ["true", "An admin requires MFA"],
              ["false", "No admin requires MFA"],
            ],
            "true",
          )}</select><button>MFA (required): Update</button>`,
        )
      : form(
          visit,
          `${path}/mfa-required`,
          html`<p>Ask for MFA, whatever the organization, the directory and the groups say.</p><input type="hidden" name="required" value="true"><button>MFA (required): Enable</button>`,
        ),
  );
  const take =
    user.requiredNewUser && user.requiredByAdmin === null
      ? form(
          visit,
          `${path}/mfa-required`,
          html`<input type="hidden" name="required" value="false"><button>Take back what is required of new users</button>`,
        )
      : undefined;
  return panel(html`${unlock}${disable}${required}${take}${pass}`);
}

function panel(content: Html): Html {
  return html`<section class="panel" aria-labelledby="acts"><h2 id="acts">Change</h2>${content}</section>`;
}

export function passPage(
  visit: Visit,
  user: Pick<User, "id" | "username" | "displayName">,
  pass: IssuedPass,
): Html {
  return page(
    visit,
    "Enrollment pass",
    html`<p>For <strong><bdi>${user.displayName ?? user.username}</bdi></strong>. It works once, until ${timeOf(pass.expiresAt)}, and is not shown again.
Give it to this person alone.</p>
<code class="pass">${pass.passPlain}</code>
<p>They sign in with their password, and are asked for it when they register a device.</p>
<p><a class="primary" href="/users/${user.id}">Done</a></p>`,
  );
}

export const userNotices: Readonly<Record<string, string>> = {
  unlocked: "Unlocked. Codes are taken again.",
  disabled: "MFA is disabled.",
  required: "MFA is required of this user from now on.",
  unrequired: "No admin requires MFA of this user any more.",
};
