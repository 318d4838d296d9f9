// dirmfa check: reads the configuration, tries what a start needs, connects to every server, and says what is wrong and
// what will hurt, each with what to do. Changes nothing.

import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load-config.ts";
import { type DirectoryProbe, probeDirectory, type ServerProbe } from "../directory/probe/probe-directory.ts";
import { AppError } from "../errors.ts";
import { checkStart } from "./check-start.ts";
import { type CliContext, exitCodes, type OutputOptions } from "./context.ts";
import type { Finding } from "./finding.ts";
import { paint, printJson, printLine, printTable, visible } from "./print.ts";

export function addCheckCommand(program: Command, context: CliContext): void {
  program
    .command("check")
    .description("try the configuration: every server, the database, five mapped entries, and what will hurt")
    .option("--json", "print JSON")
    .action((options: OutputOptions) => check(context, options));
}

async function check(context: CliContext, options: OutputOptions): Promise<void> {
  const config = await loadConfig(context.configPath(), context.env);
  const stop = new AbortController();
  const abort = () => stop.abort(new AppError("aborted", "The check was stopped."));
  process.once("SIGINT", abort);
  const start = await checkStart(context, config);
  const directories: DirectoryProbe[] = [];
  for (const directory of config.directories) {
    directories.push(await probeDirectory(directory, { signal: stop.signal, now: new Date() }));
  }
  process.off("SIGINT", abort);
  if (options.json) printJson(context, { warnings: config.warnings, start, directories });
  else printReport(context, config, start, directories);
  const stopsStart = start.some(({ level }) => level === "failed");
  if (stopsStart || directories.some(hasFailure)) context.exitCode = exitCodes.failed;
}

function hasFailure({ servers, listing }: DirectoryProbe): boolean {
  return servers.some((server) => !server.outcome.reached) || listing?.failure !== undefined;
}

function printReport(
  context: CliContext,
  config: Config,
  start: Finding[],
  directories: DirectoryProbe[],
): void {
  printGood(context, `${config.path} is valid`);
  for (const message of config.warnings) printWarning(context, { message });
  for (const finding of start) printFinding(context, finding);
  for (const directory of directories) printDirectory(context, directory);
}

function printDirectory(context: CliContext, probe: DirectoryProbe): void {
  printLine(context);
  printLine(context, paint(context, "bold", `Directory ${probe.directory}`));
  for (const server of probe.servers) printServer(context, server);
  const { listing } = probe;
  if (listing?.failure) printFailure(context, "listing", listing.failure);
  else if (listing) {
    const { entries, disabled, groups, skipped, totalMs } = listing;
    const counts = `${entries} users (${disabled} disabled), ${groups} groups, ${skipped} entries skipped`;
    printGood(context, `complete listing: ${counts}, in ${totalMs} ms`);
  }
  for (const warning of probe.warnings) printWarning(context, warning);
  if (listing && listing.samples.length > 0) {
    printLine(context);
    printTable(
      context,
      ["USERNAME", "NAME", "E-MAIL", "STATE", "ID", "DN"],
      listing.samples.map((entry) => [
        entry.username,
        entry.displayName,
        entry.email,
        entry.disabled ? "disabled" : "active",
        entry.directoryId,
        entry.dn,
      ]),
    );
  }
  if (listing && listing.skippedSamples.length > 0) {
    printLine(context);
    printTable(
      context,
      ["SKIPPED ENTRY", "REASON", "DETAIL"],
      listing.skippedSamples.map((entry) => [entry.dn, entry.reason, entry.detail]),
    );
  }
}

function printServer(context: CliContext, { url, connectMs, outcome }: ServerProbe): void {
  if (!outcome.reached) {
    printFailure(context, url, outcome.failure);
    return;
  }
  const { kind, tls } = outcome.server;
  printGood(context, `${url}: ${kind}, ${tls ? tls.protocol : "not encrypted"}, bound in ${connectMs} ms`);
}

function printGood(context: CliContext, text: string): void {
  printLine(context, `${paint(context, "green", "ok")}       ${visible(text)}`);
}

function printFinding(context: CliContext, finding: Finding): void {
  const { level, about, message, remedy } = finding;
  if (level === "failed") printFailure(context, about, finding);
  else if (level === "warning") printWarning(context, { message: `${about}: ${message}`, remedy });
  else printGood(context, `${about}: ${message}`);
}

interface Told {
  code?: string;
  message: string;
  remedy?: string | undefined;
}

function printFailure(context: CliContext, what: string, { code, message, remedy }: Told): void {
  const named = code ? `${message} (${code})` : message;
  printLine(context, `${paint(context, "red", "failed")}   ${visible(`${what}: ${named}`)}`);
  if (remedy) printLine(context, `         ${visible(remedy)}`);
}

function printWarning(context: CliContext, { message, remedy }: Told): void {
  printLine(context, `${paint(context, "yellow", "warning")}  ${visible(message)}`);
  if (remedy) printLine(context, `         ${visible(remedy)}`);
}
