// dirmfa run: what runs did, why a run is held, and its approval.

import type { Command } from "commander";
import { AppError } from "../errors.ts";
import type { Database } from "../store/database.ts";
import { listChanges, listSkips } from "../sync/sync-changes-table.ts";
import { type RunStatus, runStatuses, type SyncChange, type SyncRun } from "../sync/sync-run.ts";
import { findRun, listRuns } from "../sync/sync-runs-table.ts";
import { uuidPattern } from "../uuid.ts";
import {
  type CliContext,
  getDirectory,
  listWithinLimit,
  type OpenCommand,
  type OutputOptions,
  parseLimit,
  withDatabase,
  wordOption,
} from "./context.ts";
import { printFacts, printJson, printLine, printTable } from "./print.ts";
import { printRunSummary } from "./run-summary.ts";
import { awaitRun, exitCodeOf, withRunner } from "./sync-command.ts";

interface ListOptions extends OutputOptions {
  directory?: string;
  status?: RunStatus;
  limit: string;
}

interface ShowOptions extends OutputOptions {
  limit: string;
}

export function addRunCommand(program: Command, context: CliContext): void {
  const run = program.command("run").description("sync runs: list, show, approve");
  run
    .command("list")
    .description("the latest runs, newest first")
    .option("--directory <name>", "only this directory")
    .addOption(wordOption("--status <status>", "only runs of this status", runStatuses))
    .option("--limit <count>", "how many", "20")
    .option("--json", "print JSON")
    .action((options: ListOptions) => withDatabase(context, ({ db }) => printRuns(context, db, options)));
  run
    .command("show")
    .description("one run and its plan, user by user with reasons")
    .argument("<run id>")
    .option("--limit <count>", "how many users of the plan", "100")
    .option("--json", "print JSON")
    .action((id: string, options: ShowOptions) =>
      withDatabase(context, ({ db }) => showRun(context, db, id, options)),
    );
  run
    .command("approve")
    .description("carry out the plan of a held run, on a fresh listing")
    .argument("<run id>")
    .option("--json", "print JSON")
    .action((id: string, options: OutputOptions) =>
      withDatabase(context, (open) => approve(context, open, id, options)),
    );
}

async function printRuns(context: CliContext, db: Database, options: ListOptions): Promise<void> {
  const { directory, status } = options;
  const { rows: runs, more } = await listWithinLimit(context, parseLimit(options.limit), (limit) =>
    listRuns(db, { directory, status, limit }),
  );
  if (options.json) return printJson(context, { more, runs });
  printTable(
    context,
    [
      "RUN",
      "DIRECTORY",
      "KIND",
      "STARTED",
      "STATUS",
      "LISTED",
      "ADDED",
      "CHANGED",
      "DISABLED",
      "REMOVED",
      "SKIPPED",
    ],
    runs.map((run) => [
      run.id,
      run.directory,
      run.kind,
      run.startedAt.toISOString(),
      statusOf(run),
      run.counts?.listed ?? null,
      run.counts?.added ?? null,
      run.counts && run.counts.changed + run.counts.restored,
      run.counts?.disabled ?? null,
      run.counts?.removed ?? null,
      run.counts?.skipped ?? null,
    ]),
  );
}

function statusOf(run: SyncRun): string {
  if (run.dryRun) return `${run.status} (dry run)`;
  return run.approvedAt ? `${run.status}, approved` : run.status;
}

function startOf(run: SyncRun): string {
  switch (run.trigger) {
    case "schedule":
      return "by the schedule";
    case "start":
      return "at the start of the daemon";
    case "request":
      return `requested by ${run.requestedBy}`;
    case "approval":
      return `approved by ${run.requestedBy}`;
  }
}

async function showRun(context: CliContext, db: Database, id: string, options: ShowOptions): Promise<void> {
  const run = await getRun(db, id);
  const limit = parseLimit(options.limit, 1_000_000);
  const changes = await listChanges(db, run.id, { limit });
  const skips = await listSkips(db, run.id, limit);
  if (options.json) return printJson(context, { run, changes, skips });
  printRunSummary(context, run);
  printFacts(
    context,
    [
      ["  started", `${run.startedAt.toISOString()}, ${startOf(run)}`] as const,
      ["  server", run.serverUrl] as const,
      ["  approved", run.approvedAt && `${run.approvedAt.toISOString()} by ${run.approvedBy}`] as const,
      ["  carries out", run.approves] as const,
    ].filter(([, value]) => value !== null),
  );
  if (changes.length > 0) printChanges(context, changes, plannedOf(run));
  if (skips.length > 0) {
    printLine(context);
    printTable(
      context,
      ["SKIPPED ENTRY", "REASON", "DETAIL"],
      skips.map((s) => [s.dn, s.reason, s.detail]),
    );
  }
}

function printChanges(context: CliContext, changes: SyncChange[], planned: number): void {
  printLine(context);
  printTable(
    context,
    ["ACTION", "USERNAME", "REASONS", "DN"],
    changes.map((change) => [change.action, change.username, reasonsOf(change), change.dn]),
  );
  if (changes.length < planned) {
    printLine(context, `… and ${planned - changes.length} more; see them with --limit ${planned}`);
  }
}

/** Reasons, with old and new value where the plan has them. */
function reasonsOf(change: SyncChange): string {
  const { groupsLeft, ...before } = change.before ?? {};
  const { groupsJoined, ...after } = change.after ?? {};
  const fields = Object.entries(after)
    .filter(([field]) => field !== "state")
    .map(([field, value]) => `${field}: ${textOf(before[field])} → ${textOf(value)}`);
  const groups = [...namesIn("left", groupsLeft), ...namesIn("joined", groupsJoined)];
  const [first, ...rest] = [change.reasons.join(", "), ...fields, ...groups];
  return rest.length > 0 ? `${first} (${rest.join("; ")})` : (first ?? "");
}

/** As in `left sales, vpn`; nothing for no groups. */
function namesIn(verb: string, groups: unknown): string[] {
  return Array.isArray(groups) && groups.length > 0 ? [`${verb} ${groups.join(", ")}`] : [];
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return "-";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function plannedOf(run: SyncRun): number {
  if (!run.counts) return 0;
  const { added, changed, restored, disabled, removed } = run.counts;
  return added + changed + restored + disabled + removed;
}

async function approve(
  context: CliContext,
  open: OpenCommand,
  id: string,
  options: OutputOptions,
): Promise<void> {
  const held = await getRun(open.db, id);
  const directory = getDirectory(open.config, held.directory);
  const request = { directory, actor: open.actor, dryRun: false };
  const run = await withRunner(open, async (runner) => {
    for (;;) {
      const started = await runner.start({ ...request, trigger: "approval", approves: held });
      if (started.kind === "started") return started.finished;
      // A scheduled run came first. The approval was not used up: the held run still waits for one.
      await awaitRun(context, open, started.run);
    }
  });
  if (options.json) printJson(context, { run });
  else printRunSummary(context, run);
  context.exitCode = exitCodeOf([run]);
}

async function getRun(db: Database, id: string): Promise<SyncRun> {
  const run = uuidPattern.test(id) ? await findRun(db, id) : undefined;
  if (run) return run;
  throw new AppError("not-found", `There is no run ${id}.`, { remedy: "`dirmfa run list` shows the runs." });
}
