// Notices to users and admins: what waits, what was given up and why, and another try.

import { type Notice, type NoticeState, noticeStates } from "../notices/notice.ts";
import { type Html, html } from "../pages/html.ts";
import { form, options, page, table, tag, timeOf, notice as told } from "./layout.ts";
import type { Visit } from "./visit.ts";
import { noticeNames } from "./words.ts";

const stateNames: Readonly<Record<NoticeState, string>> = {
  dead: "Given up",
  waiting: "Waiting",
  delivered: "Delivered",
};

export function noticesPage(
  visit: Visit,
  state: {
    notices: readonly Notice[];
    shown: NoticeState;
    counts: { waiting: number; dead: number };
    isCut: boolean;
    told?: string | undefined;
  },
): Html {
  const { notices, shown, counts, isCut } = state;
  const mayRetry = visit.roles.includes("admin");
  const choices = noticeStates.toReversed().map((known) => [known, stateNames[known]] as const);
  const retry = (path: string, text: string) => form(visit, path, html`<button>${text}</button>`);
  const columns = [
    "Since",
    "What",
    "To",
    "Through",
    "State",
    "Tries",
    "Why not",
    ...(mayRetry ? ["Change"] : []),
  ];
  return page(
    visit,
    "Notices",
    html`${told(state.told)}
<div class="answer ${counts.dead > 0 ? "bad" : "good"}"><p><strong>${
      counts.dead === 0 ? "No notice was given up." : `${counts.dead} given up.`
    }</strong> ${counts.waiting === 0 ? "None waits." : `${counts.waiting} waiting for delivery.`}</p></div>
<form class="filters" method="get" action="/notices" role="search">
<div><label for="state">State</label><select id="state" name="state">${options(choices, shown)}</select></div>
<button class="primary">Show</button></form>
${mayRetry && counts.dead > 0 ? retry("/notices/retry", "Try all that were given up again") : undefined}
${table(
  `${notices.length} shown${isCut ? ", and there are more" : ""}`,
  columns,
  notices.map((one) => [
    timeOf(one.createdAt),
    html`${noticeNames[one.kind]}${one.directory && !one.user ? ` (${one.directory})` : ""}`,
    one.user?.username ?? "Admins",
    one.channel === "mail" ? "Mail" : "Webhook",
    html`${tag(stateNames[one.state], one.state === "dead" ? "bad" : one.state === "delivered" ? "good" : "plain")}${
      one.state === "waiting" ? html` next try ${timeOf(one.nextAttemptAt)}` : undefined
    }`,
    one.attempts,
    one.lastError ?? undefined,
    ...(mayRetry ? [one.state === "dead" ? retry(`/notices/${one.id}/retry`, "Try again") : undefined] : []),
  ]),
  shown === "dead" ? "Nothing was given up." : "There are none.",
)}`,
    { wide: true },
  );
}
