// dirmfa sync: runs now, here, and waits. A progress line on a terminal, then the summary.

import type { Command } from "commander";
import { systemClock } from "../clock.ts";
import type { DirectoryConfig } from "../config/config.ts";
import { AppError } from "../errors.ts";
import { awaitRunOf } from "../sync/await-run.ts";
import { createOnDemand, type DirectoryRefreshed } from "../sync/on-demand.ts";
import type { SyncDeps } from "../sync/start-sync.ts";
import type { SyncRun } from "../sync/sync-run.ts";
import { createSyncRunner, holderName, type SyncRunner } from "../sync/sync-runner.ts";
import { applyFirstPolicy } from "../users/apply-policy.ts";
import { mfaPolicyOf } from "../users/policy.ts";
import {
  type CliContext,
  exitCodes,
  getDirectory,
  type OpenCommand,
  type OutputOptions,
  withDatabase,
} from "./context.ts";
import { printJson, printLine, visible } from "./print.ts";
import { printRunSummary } from "./run-summary.ts";

interface SyncOptions extends OutputOptions {
  directory?: string;
  dryRun?: boolean;
  incremental?: boolean;
  user?: string;
}

export function addSyncCommand(program: Command, context: CliContext): void {
  program
    .command("sync")
    .description("synchronize the users of all directories, or of one, now")
    .option("--directory <name>", "only this directory")
    .option("--user <name>", "read this one user only, and remove nobody")
    .option("--incremental", "read only what has changed since the last run, and remove nobody")
    .option("--dry-run", "make the plan and stop before applying it")
    .option("--json", "print JSON")
    .action((options: SyncOptions) =>
      withDatabase(context, (open) =>
        options.user === undefined
          ? syncNow(context, open, options)
          : syncUser(context, open, { ...options, user: options.user }),
      ),
    );
}

async function syncNow(context: CliContext, open: OpenCommand, options: SyncOptions): Promise<void> {
  const { config } = open;
  const directories = options.directory ? [getDirectory(config, options.directory)] : config.directories;
  const runs: SyncRun[] = [];
  await withRunner(open, async (runner) => {
    for (const directory of directories) {
      const { dryRun = false, incremental = false } = options;
      const run = await runOne(context, open, { runner, directory, dryRun, incremental });
      runs.push(run);
      if (!options.json) printRunSummary(context, run);
    }
  });
  if (options.json) printJson(context, { runs });
  context.exitCode = exitCodeOf(runs);
}

async function syncUser(
  context: CliContext,
  open: OpenCommand,
  options: SyncOptions & { user: string },
): Promise<void> {
  if (options.dryRun) throw new AppError("invalid-usage", "--user has no dry run.");
  if (options.incremental)
    throw new AppError("invalid-usage", "--user reads one user, and --incremental more.");
  const { config, db, log, actor } = open;
  if (options.directory) getDirectory(config, options.directory);
  const deps = { db, log, clock: systemClock, holder: holderName(), requestId: actor.requestId ?? "" };
  const onDemand = createOnDemand(deps, config.directories);
  try {
    await applyFirstPolicy(
      { db, policy: mfaPolicyOf(config.mfa), directories: config.directories.map(({ name }) => name) },
      actor,
    );
    const { user: name, directory } = options;
    const answers = await onDemand.refresh({ name, directory, actor });
    if (options.json) printJson(context, { directories: answers });
    else
      for (const answer of answers)
        printLine(context, `${answer.directory}: ${visible(textOfRefreshed(answer))}`);
    context.exitCode = exitCodeOfRefreshed(answers);
  } finally {
    await onDemand.stop();
  }
}

function textOfRefreshed(answer: DirectoryRefreshed): string {
  switch (answer.outcome) {
    case "changed":
      return `changed (run ${answer.runId})`;
    case "unchanged":
      return "nothing has changed";
    case "not-found":
      return "shows no such user; nobody is removed before a run";
    case "skipped":
      return `cannot be used: ${answer.reasons.join(", ")}`;
    case "held":
      return `waits for a run: ${answer.reasons.join(" ")}`;
    case "not-imported":
      return "was never imported; run `dirmfa sync` first";
    case "not-asked":
      return "was not asked";
    case "failed":
      return `did not answer (${answer.code})`;
  }
}

function exitCodeOfRefreshed(answers: DirectoryRefreshed[]): number {
  const outcomes = answers.map(({ outcome }) => outcome);
  if (
    outcomes.some((outcome) => outcome === "failed" || outcome === "not-asked" || outcome === "not-imported")
  ) {
    return exitCodes.failed;
  }
  if (outcomes.includes("held")) return exitCodes.held;
  // Somebody was asked for, and no directory has a user of that name that can be used.
  const isThere = outcomes.includes("changed") || outcomes.includes("unchanged");
  return isThere ? exitCodes.done : exitCodes.failed;
}

/** Gives `work` a runner that Ctrl-C stops cleanly: the listing is given up, a plan being applied is finished. */
export async function withRunner<T>(open: OpenCommand, work: (runner: SyncRunner) => Promise<T>): Promise<T> {
  const deps: SyncDeps = {
    db: open.db,
    log: open.log,
    policy: mfaPolicyOf(open.config.mfa),
    directories: open.config.directories.map(({ name }) => name),
    holder: holderName(),
  };
  const runner = createSyncRunner(deps);
  const stop = () => void runner.stop();
  process.once("SIGINT", stop).once("SIGTERM", stop);
  try {
    return await work(runner);
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
    await runner.stop();
  }
}

async function runOne(
  context: CliContext,
  open: OpenCommand,
  input: { runner: SyncRunner; directory: DirectoryConfig; dryRun: boolean; incremental: boolean },
): Promise<SyncRun> {
  const progress = createProgress(context, input.directory.name);
  for (;;) {
    const started = await input.runner.start({
      directory: input.directory,
      trigger: "request",
      actor: open.actor,
      dryRun: input.dryRun,
      kind: input.incremental ? "incremental" : "full",
      onProgress: progress.show,
    });
    if (started.kind === "started") return started.finished.finally(progress.clear);
    const ended = await awaitRun(context, open, started.run);
    // Without an end its process is gone, and the next start takes its place. A dry run is no answer to who wants a real
    // one, nor the other way round; nor is an incremental run to who wants a full one.
    const isAnswer = ended?.dryRun === input.dryRun && (input.incremental || ended.kind === "full");
    if (isAnswer) return ended;
  }
}

/** Follows a run of another process to its end; undefined once that process has let the directory's lease expire. */
export async function awaitRun(
  context: CliContext,
  open: OpenCommand,
  run: SyncRun,
): Promise<SyncRun | undefined> {
  context.stderr.write(`dirmfa: run ${run.id} of ${run.directory} is going on; waiting for it.\n`);
  return await awaitRunOf(open.db, run);
}

/** One line on a terminal, rewritten in place; nothing anywhere else. */
function createProgress(context: CliContext, directory: string) {
  if (!context.stderr.isTTY) return { show: () => {}, clear: () => {} };
  return {
    show: (entries: number) => void context.stderr.write(`\r\u001b[K${directory}: ${entries} entries listed`),
    clear: () => void context.stderr.write("\r\u001b[K"),
  };
}

/** Failed comes before held, held before done. */
export function exitCodeOf(runs: SyncRun[]): number {
  if (runs.some((run) => run.status === "failed" || run.status === "abandoned")) return exitCodes.failed;
  return runs.some((run) => run.status === "held") ? exitCodes.held : exitCodes.done;
}
