// How a sync run is told to people, by `sync` and by `run show`.

import type { RunStatus, SyncRun } from "../sync/sync-run.ts";
import type { CliContext } from "./context.ts";
import { paint, printLine, visible } from "./print.ts";

const statusStyles = {
  running: "cyan",
  succeeded: "green",
  failed: "red",
  held: "yellow",
  abandoned: "red",
} as const satisfies Record<RunStatus, string>;

export function printRunSummary(context: CliContext, run: SyncRun): void {
  const status = paint(context, statusStyles[run.status], run.status);
  const kind = run.kind === "incremental" ? " (incremental)" : "";
  const dry = run.dryRun ? " (dry run: nothing was applied)" : "";
  printLine(context, `${run.directory}: ${status}${kind}${dry}${durationOf(run)}`);
  if (run.counts) printLine(context, `  ${countsOf(run)}`);
  for (const remark of [...run.holdReasons, ...run.notes]) printLine(context, `  ${visible(remark.text)}`);
  if (run.error) {
    printLine(context, `  ${visible(run.error.message)} (${run.error.code})`);
    if (run.error.remedy) printLine(context, `  ${visible(run.error.remedy)}`);
  }
  if (run.status === "held" && !run.dryRun && !run.approvedAt) {
    printLine(context, `  Nothing was changed. See the plan: dirmfa run show ${run.id}`);
    printLine(context, `  Carry it out:               dirmfa run approve ${run.id}`);
  } else {
    printLine(context, `  run ${run.id}`);
  }
}

function durationOf(run: SyncRun): string {
  if (!run.finishedAt) return "";
  const seconds = (run.finishedAt.getTime() - run.startedAt.getTime()) / 1000;
  return ` in ${seconds.toFixed(1)} s`;
}

function countsOf(run: SyncRun): string {
  if (!run.counts) return "";
  const { listed, ...planned } = run.counts;
  const parts = Object.entries(planned)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name}`);
  return [`${listed} listed`, ...parts].join(", ");
}
