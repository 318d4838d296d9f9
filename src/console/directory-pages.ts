// Directories and their sync runs: health, the plan user by user, and what approving a held run would do.

import { type Html, html } from "../pages/html.ts";
import type { DirectoryState } from "../sync/directory-states.ts";
import type { SyncChange, SyncRun, SyncSkip } from "../sync/sync-run.ts";
import { barChart } from "./charts.ts";
import { facts, form, lengthOf, notice, page, problem, table, tag, timeOf } from "./layout.ts";
import type { Visit } from "./visit.ts";

export function directoriesPage(visit: Visit, directories: readonly DirectoryState[]): Html {
  const held = directories.flatMap(({ heldRun }) => heldRun ?? []);
  return page(
    visit,
    "Directories",
    html`${held.map(
      (run) =>
        html`<div class="answer bad"><p><strong>A run of ${run.directory} is held.</strong> It changed nothing. <a href="/runs/${run.id}">See what it would do</a></p></div>`,
    )}
${table(
  "All that are configured",
  ["Directory", "Copy", "Last run", "Next run", { name: "Unusable entries", isNumber: true }],
  directories.map(({ name, age, lastRun, nextRun }) => [
    html`<a href="/directories/${name}">${name}</a>`,
    age ? `${lengthOf(age.seconds)} old` : tag("Never read", "bad"),
    lastRun && html`${statusTag(lastRun)} ${timeOf(lastRun.startedAt)}`,
    timeOf(nextRun) ?? "On demand",
    age?.skipped ?? undefined,
  ]),
  "No directory is configured.",
)}`,
    { wide: true },
  );
}

function statusTag({ status, dryRun }: Pick<SyncRun, "status" | "dryRun">): Html {
  const look = status === "succeeded" ? "good" : status === "running" ? "plain" : "bad";
  return html`${tag(status, look)}${dryRun ? html` ${tag("dry run", "faint")}` : undefined}`;
}

/** What a run would change or has changed, in a few words. */
function changesText({ counts, status }: SyncRun): string {
  if (!counts) return status === "running" ? "not known yet" : "no plan";
  const parts = (["added", "changed", "restored", "disabled", "removed", "skipped"] as const)
    .filter((key) => counts[key] > 0)
    .map((key) => `${counts[key]} ${key}`);
  return parts.length === 0 ? "nothing to change" : parts.join(", ");
}

export function directoryPage(
  visit: Visit,
  state: DirectoryState & { runs: readonly SyncRun[]; next: string | null; refused?: string | undefined },
): Html {
  const { name, age, nextRun, runs, next } = state;
  const mayRun = visit.roles.includes("admin");
  const oldestFirst = runs.toReversed();
  const sized = oldestFirst.map((run) => ({
    value: run.counts
      ? run.counts.added + run.counts.changed + run.counts.restored + run.counts.disabled + run.counts.removed
      : 0,
    isBad: run.status !== "succeeded" && run.status !== "running",
  }));
  const dayOf = (run: SyncRun | undefined) =>
    run?.startedAt.toISOString().slice(0, 16).replace("T", " ") ?? "";
  return page(
    visit,
    name,
    html`${problem(state.refused)}
${facts([
  ["Copy", age ? `${lengthOf(age.seconds)} old` : tag("Never read", "bad")],
  age?.olderCopySeconds ? ["Listings are of an older copy since", lengthOf(age.olderCopySeconds)] : undefined,
  ["Next run", timeOf(nextRun) ?? "On demand"],
  age?.skipped === undefined || age.skipped === null
    ? undefined
    : ["Entries that cannot be used", age.skipped],
])}
${
  mayRun
    ? html`<div class="acts">${form(visit, `/directories/${name}/dry-run`, html`<button>Dry run now</button>`)}${form(
        visit,
        `/directories/${name}/run`,
        html`<button>Run now</button>`,
      )}</div>`
    : undefined
}
<h2>Runs</h2>
${
  runs.length > 1
    ? html`${barChart(`Users changed by each of the ${runs.length} runs below, oldest first`, sized, [dayOf(oldestFirst[0]), dayOf(oldestFirst.at(-1))])}<p class="faint">Users that each run changed or would have; in the other color, runs that changed nothing because they were held or failed.</p>`
    : undefined
}
${table(
  "Newest first",
  ["Started", "Status", "Changes", "Asked for by"],
  runs.map((run) => [
    html`<a href="/runs/${run.id}">${timeOf(run.startedAt)}</a>`,
    statusTag(run),
    changesText(run),
    run.requestedBy,
  ]),
  "There was no run yet.",
)}
${next && html`<p><a class="button" href="${next}">Older</a></p>`}`,
    { wide: true, back: { path: "/directories", name: "Directories" } },
  );
}

export interface RunState {
  run: SyncRun;
  changes: readonly SyncChange[];
  skips: readonly SyncSkip[];
  search: string;
  next: string | null;
  notice?: string | undefined;
}

export function runPage(visit: Visit, state: RunState): Html {
  const { run, skips } = state;
  const content = html`${notice(state.notice)}
${run.error ? html`<div class="answer bad"><p><strong>It failed.</strong> ${run.error.message} ${run.error.remedy ?? undefined}</p></div>` : undefined}
${run.status === "held" ? heldPart(visit, run) : undefined}
${facts([
  ["Directory", html`<a href="/directories/${run.directory}">${run.directory}</a>`],
  ["Status", statusTag(run)],
  ["Changes", changesText(run)],
  run.counts ? ["Entries listed", run.counts.listed] : undefined,
  ["Started", timeOf(run.startedAt)],
  ["Ended", timeOf(run.finishedAt) ?? "Not yet"],
  ["Asked for by", run.requestedBy],
  run.serverUrl ? ["Server", run.serverUrl] : undefined,
  run.approvedBy ? ["Approved by", run.approvedBy] : undefined,
  run.approves ? ["Carries out", html`<a href="/runs/${run.approves}">the held run</a>`] : undefined,
])}
${run.notes.length > 0 ? html`<h2>Worth knowing</h2><ul>${run.notes.map(({ text }) => html`<li>${text}</li>`)}</ul>` : undefined}
${run.counts ? planPart(state) : undefined}
${
  skips.length > 0
    ? html`<h2>Entries that could not be used</h2>${table(
        "The first of them",
        ["DN", "Why"],
        skips.map(({ dn, detail }) => [dn, detail]),
        "",
      )}`
    : undefined
}`;
  return page(visit, `Run of ${run.directory}`, content, {
    wide: true,
    back: { path: `/directories/${run.directory}`, name: run.directory },
  });
}

function planPart({ run, changes, search, next }: RunState): Html {
  return html`<h2>Plan, user by user</h2>
<form class="filters" method="get" action="/runs/${run.id}" role="search"><div class="search"><label for="search">Search by user name or DN</label><input id="search" name="search" type="search" maxlength="256" value="${search}"></div><button>Show</button></form>
${table(
  `${changes.length} shown${next ? ", and there are more" : ""}`,
  ["User name", "What", "Why", "Before and after"],
  changes.map((change) => [
    change.userId ? html`<a href="/users/${change.userId}">${change.username}</a>` : change.username,
    tag(change.action, change.action === "remove" || change.action === "disable" ? "bad" : "plain"),
    change.reasons.join(", "),
    differenceOf(change),
  ]),
  search === "" ? "Nobody changes." : "Nobody in the plan matches.",
)}
${next && html`<p><a class="button" href="${next}">Next page</a></p>`}`;
}

function heldPart(visit: Visit, run: SyncRun): Html {
  const reasons = html`<ul>${run.holdReasons.map(({ text }) => html`<li>${text}</li>`)}</ul>`;
  const does = html`<p>Approving starts a run with a fresh listing. It does what the plan below says as far as that still holds then, and removes
nobody who is not in it.</p>`;
  const mayApprove = visit.roles.includes("admin") && run.approvedAt === null && !run.dryRun;
  return html`<section class="held"><div class="answer bad"><p><strong>Held: it changed nothing.</strong></p></div>${reasons}${does}${
    mayApprove
      ? form(
          visit,
          `/runs/${run.id}/approve`,
          html`<label class="tick"><input type="checkbox" name="sure" value="yes" required><span>I have looked at the plan, and it is what should happen</span></label><button class="danger">Approve</button>`,
        )
      : undefined
  }</section>`;
}

function differenceOf({ before, after }: SyncChange): Html | undefined {
  const keys = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  if (keys.length === 0) return undefined;
  const text = (value: unknown) =>
    value === undefined || value === null
      ? "nothing"
      : typeof value === "string"
        ? value
        : JSON.stringify(value);
  return html`${keys.map((key) => html`<div>${key}: <bdi>${text(before?.[key])}</bdi> → <bdi>${text(after?.[key])}</bdi></div>`)}`;
}
