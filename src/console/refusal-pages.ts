// Pages for what is not to be had: not signed in any more, no role for it, a form that is too old, nothing there, not now.

import { type Html, html } from "../pages/html.ts";
import { page, problem } from "./layout.ts";
import type { Visit } from "./visit.ts";

/** For a browser of which nothing is known. */
export const stranger: Visit = {
  token: "",
  formToken: "",
  path: "",
  stage: undefined,
  user: undefined,
  roles: [],
};

export function signedOutPage(visit: Visit): Html {
  return page(
    visit,
    "Your session is over",
    html`${problem("Nothing was changed by this.")}<p>Sign in again, and do it once more.</p>
<p>Did you press the button twice? Then the first time may have counted: look after the sign-in. Backup codes that you were not shown are made anew
in the settings.</p><p><a class="primary" href="/sign-in">Sign in</a></p>`,
  );
}

export function noRolePage(visit: Visit): Html {
  return page(
    visit,
    "Not for you",
    html`${problem("You have no role that may see or do this.")}<p>Roles come from groups of the directory. One that you got lately counts
from the next run and from your next sign-in on.</p><p><a href="/">Back to the start</a></p>`,
  );
}

export function outdatedPage(visit: Visit): Html {
  return page(
    visit,
    "Out of date",
    html`${problem("This form is not good any more, and nothing was changed.")}<p>It was open too long, or you have signed in again since.</p>
<p><a href="/">Start again</a></p>`,
  );
}

export function notFoundPage(visit: Visit = stranger): Html {
  return page(
    visit,
    "No such page",
    html`<p>There is nothing at this address.</p><p><a href="/">Back to the start</a></p>`,
  );
}

export function notFound(visit: Visit): { page: Html; status: number } {
  return { page: notFoundPage(visit), status: 404 };
}

/** Signed in or not: whoever is refused by the directory's state. */
export function deniedPage(): Html {
  return page(
    stranger,
    "No access",
    html`${problem("You cannot sign in with this user.")}<p>Your help desk can tell you why.</p><p><a href="/sign-in">Back to the sign-in</a></p>`,
  );
}

/** Nothing was changed: the form lacks something (400), or things are not as it takes them to be (409). */
export function notDone(
  visit: Visit,
  status: 400 | 409,
  text: string,
  back: string,
): { page: Html; status: number } {
  return { page: page(visit, "Not done", html`${problem(text)}<p><a href="${back}">Back</a></p>`), status };
}

export function unavailablePage(visit: Visit = stranger): Html {
  return page(
    visit,
    "Not available",
    html`${problem("This is not possible at the moment.")}<p>It is not your fault. Try again in a few minutes.</p><p><a href="/">Try again</a></p>`,
  );
}

export function badRequestPage(visit: Visit = stranger): Html {
  return page(
    visit,
    "Not understood",
    html`${problem("The console did not understand this.")}<p><a href="/">Back to the start</a></p>`,
  );
}
