// Directories and runs: look (admin, auditor); run now and approve (admin alone), by the runner that API and schedule use.

import { AppError } from "../errors.ts";
import { nextCursorOf, parseCursor } from "../http/cursor.ts";
import { listDirectoryStates } from "../sync/directory-states.ts";
import { listChanges, listSkips } from "../sync/sync-changes-table.ts";
import { findRun, listRuns } from "../sync/sync-runs-table.ts";
import type { ConsoleDeps } from "./deps.ts";
import { directoriesPage, directoryPage, runPage } from "./directory-pages.ts";
import { notDone, notFound } from "./refusal-pages.ts";
import type { Answer, SessionAsked, Site } from "./site.ts";

const who = ["admin", "auditor"] as const;
const adminAlone = ["admin"] as const;
const runsShown = 30;
const changesShown = 100;
const skipsShown = 100;

export function addDirectoryRoutes(site: Site, deps: ConsoleDeps): void {
  const { config, runner } = deps;
  const { db } = deps.verification;
  const directoryNamed = (name: string) => config.directories.find((known) => known.name === name);

  site.get("/directories", who, async ({ visit }) => {
    const states = await listDirectoryStates(
      { db, nextRunOf: deps.nextRunOf },
      config.directories.map(({ name }) => name),
    );
    return directoriesPage(visit, states);
  });

  site.get("/directories/:name", who, async (asked) => {
    const directory = directoryNamed(asked.param);
    if (!directory) return notFound(asked.visit);
    const cursor = asked.query.get("cursor");
    const [time, id] = cursor === null ? [] : parseCursor(cursor, ["time", "uuid"]);
    const after = time === undefined || id === undefined ? undefined : { startedAt: new Date(time), id };
    const runs = await listRuns(db, { directory: directory.name, after, limit: runsShown });
    const next = nextCursorOf(runs, runsShown, (last) => [last.startedAt.toISOString(), last.id]);
    const [state] = await listDirectoryStates({ db, nextRunOf: deps.nextRunOf }, [directory.name]);
    if (!state) return notFound(asked.visit);
    return directoryPage(asked.visit, {
      ...state,
      runs,
      next: next && `/directories/${directory.name}?cursor=${next}`,
    });
  });

  site.post("/directories/:name/dry-run", adminAlone, (asked) => startRun(asked, true));
  site.post("/directories/:name/run", adminAlone, (asked) => startRun(asked, false));

  async function startRun(asked: SessionAsked, dryRun: boolean): Promise<Answer> {
    const directory = directoryNamed(asked.param);
    if (!directory) return notFound(asked.visit);
    const started = await runner.start({ directory, trigger: "request", actor: asked.actor, dryRun });
    return {
      goTo: `/runs/${started.run.id}?done=${started.kind === "already-running" ? "running" : "started"}`,
    };
  }

  site.get("/runs/:id", who, async (asked) => {
    const { visit, id, query } = asked;
    const run = await findRun(db, id);
    if (!run) return notFound(asked.visit);
    const cursor = query.get("cursor");
    const [after] = cursor === null ? [] : parseCursor(cursor, ["text"]);
    const search = (query.get("search") ?? "").replaceAll("\0", "").slice(0, 256).trim();
    const changes = await listChanges(db, id, {
      after,
      search: search === "" ? undefined : search,
      limit: changesShown,
    });
    const next = nextCursorOf(changes, changesShown, (last) => [last.directoryId]);
    const nextQuery = next && new URLSearchParams({ search, cursor: next });
    return runPage(visit, {
      run,
      changes,
      skips: await listSkips(db, id, skipsShown),
      search,
      next: nextQuery && `/runs/${id}?${nextQuery}`,
      notice: runNotices[query.get("done") ?? ""],
    });
  });

  site.post("/runs/:id/approve", adminAlone, async (asked) => {
    const { visit, id, form, actor } = asked;
    const held = await findRun(db, id);
    const directory = held && directoryNamed(held.directory);
    if (!held || !directory) return notFound(asked.visit);
    if (form.get("sure") !== "yes")
      return notDone(visit, 400, "It was not ticked that the plan was looked at.", `/runs/${id}`);
    const request = { directory, trigger: "approval", actor, dryRun: false, approves: held } as const;
    const started = await runner.start(request).catch((error: unknown) => {
      if (error instanceof AppError && error.code === "run-not-held") return undefined;
      throw error;
    });
    if (!started) return notDone(visit, 409, "This run waits for no approval any more.", `/runs/${id}`);
    if (started.kind === "already-running")
      return notDone(
        visit,
        409,
        "Another run of this directory is under way. Approve it when that has ended.",
        `/runs/${id}`,
      );
    return { goTo: `/runs/${started.run.id}?done=approved` };
  });
}

const runNotices: Readonly<Record<string, string>> = {
  started: "The run has begun. Load this page again to see how far it is.",
  running: "A run was under way already; this is that one.",
  approved: "Approved: this is the run that carries it out. Load this page again to see how far it is.",
};
