// The audit as people look at it: newest first, by kind and user, with the state of the chain.

import { type AuditEvent, auditActions } from "../audit/audit-events-table.ts";
import { type Html, html } from "../pages/html.ts";
import { lengthOf, options, page, table, timeOf } from "./layout.ts";
import type { Visit } from "./visit.ts";
import { eventText, viaNames } from "./words.ts";

export interface AuditState {
  events: readonly AuditEvent[];
  /** By the id of the user. */
  usernames: ReadonlyMap<string, string>;
  filter: { action: string; username: string };
  chain: { unsealedSeconds: number; broken: boolean };
  older: string | undefined;
  exportQuery: string;
}

export function auditPage(visit: Visit, state: AuditState): Html {
  const { events, usernames, filter, chain, older } = state;
  const seal = chain.broken
    ? html`<div class="answer bad"><p><strong>The chain is broken.</strong> Nothing is sealed until someone looks: run <code>dirmfa audit verify</code>.</p></div>`
    : html`<div class="answer good"><p><strong>The chain is being sealed.</strong> ${
        chain.unsealedSeconds > 0
          ? `The oldest event waits for ${lengthOf(chain.unsealedSeconds)}.`
          : "Every event has its seal."
      } <code>dirmfa audit verify</code> checks all of it.</p></div>`;
  return page(
    visit,
    "Audit",
    html`${seal}
<form class="filters" method="get" action="/audit" role="search">
<div><label for="action">What</label><select id="action" name="action">${options([["", "Anything"], ...auditActions.map((action) => [action, action] as const)], filter.action)}</select></div>
<div><label for="username">About the user</label><input id="username" name="username" maxlength="256" autocapitalize="none" value="${filter.username}"></div>
<button class="primary">Show</button></form>
<p class="acts"><a class="button" href="/audit/events.csv?${state.exportQuery}">Export as CSV</a><a class="button" href="/audit/events.jsonl?${state.exportQuery}">Export as JSON lines</a></p>
${table(
  "Newest first",
  ["When", "What", "About", "By", "Through", "Details"],
  events.map((event) => [
    timeOf(event.at),
    eventText(event),
    event.userId
      ? html`<a href="/users/${event.userId}">${usernames.get(event.userId) ?? "a user who is gone"}</a>`
      : (event.directory ?? undefined),
    event.actor,
    viaNames[event.via],
    Object.keys(event.details).length > 0
      ? html`<details class="raw"><summary>Details</summary><div><code>${JSON.stringify(event.details)}</code></div></details>`
      : undefined,
  ]),
  "No event matches.",
)}
${older && html`<p><a class="button" href="${older}">Older</a></p>`}`,
    { wide: true },
  );
}
