// dirmfa check: reads the configuration, connects to every server and to the database, and says what is wrong and what
// will hurt, each with what to do. Changes nothing.

import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load-config.ts";
import { type DirectoryProbe, probeDirectory, type ServerProbe } from "../directory/probe-directory.ts";
import { AppError } from "../errors.ts";
import { openDatabase } from "../store/database.ts";
import { requireCurrentSchema } from "../store/migrate.ts";
import { listOlderCopies } from "../sync/directories-table.ts";
import { listUnconfigured } from "../sync/rename-directory.ts";
import { type CliContext, createCommandLog, exitCodes, type OutputOptions } from "./context.ts";
import { paint, printJson, printLine, printTable, visible } from "./print.ts";

interface Finding {
  code?: string;
  message: string;
  remedy: string | undefined;
}

interface DatabaseProbe {
  kind: "postgres" | "embedded";
  /** Directories with users that the configuration does not name. */
  unconfigured: { name: string; users: number }[];
  /** Directories that answer with older copies alone. */
  olderCopies: { directory: string; since: Date }[];
  failure: Finding | undefined;
}

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
  const database = await probeDatabase(context, config);
  const directories: DirectoryProbe[] = [];
  for (const directory of config.directories) {
    directories.push(await probeDirectory(directory, { signal: stop.signal, now: new Date() }));
  }
  process.off("SIGINT", abort);
  if (options.json) printJson(context, { warnings: config.warnings, database, directories });
  else printReport(context, config, database, directories);
  if (database.failure || directories.some(hasFailure)) context.exitCode = exitCodes.failed;
}

async function probeDatabase(context: CliContext, config: Config): Promise<DatabaseProbe> {
  const { kind } = config.database;
  try {
    const { db, close } = await openDatabase(config.database, {
      log: createCommandLog(context),
      owner: false,
    });
    try {
      await requireCurrentSchema(db);
      const directories = config.directories.map(({ name }) => name);
      return {
        kind,
        unconfigured: await listUnconfigured({ db, directories }),
        olderCopies: await listOlderCopies(db),
        failure: undefined,
      };
    } finally {
      await close();
    }
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return {
      kind,
      unconfigured: [],
      olderCopies: [],
      failure: { code: error.code, message: error.message, remedy: error.remedy },
    };
  }
}

function hasFailure({ servers, listing }: DirectoryProbe): boolean {
  return servers.some((server) => !server.outcome.reached) || listing?.failure !== undefined;
}

function printReport(
  context: CliContext,
  config: Config,
  database: DatabaseProbe,
  directories: DirectoryProbe[],
): void {
  printGood(context, `${config.path} is valid`);
  for (const message of config.warnings) printWarning(context, { message, remedy: undefined });
  if (database.failure) printFailure(context, "database", database.failure);
  else printGood(context, `database: ${database.kind}, schema current`);
  for (const { name, users } of database.unconfigured) printWarning(context, unconfigured(name, users));
  for (const copy of database.olderCopies) printWarning(context, olderCopy(copy));
  for (const directory of directories) printDirectory(context, directory);
}

function olderCopy({ directory, since }: { directory: string; since: Date }): Finding {
  return {
    message: `${directory} has answered with older copies than before since ${since.toISOString()}: users are added, and nobody is changed or removed`,
    remedy: `Wait until its server has caught up; if it never will, \`dirmfa directory accept-server ${directory}\` takes it as it is.`,
  };
}

function unconfigured(name: string, users: number): Finding {
  return {
    message: `${users} users of the directory ${name} are stored, which is not configured: they cannot sign in`,
    remedy: `\`dirmfa directory rename ${name} NEW\` if it was renamed, \`dirmfa directory retire ${name}\` if it was given up.`,
  };
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

function printFailure(context: CliContext, what: string, { code, message, remedy }: Finding): void {
  const named = code ? `${message} (${code})` : message;
  printLine(context, `${paint(context, "red", "failed")}   ${visible(`${what}: ${named}`)}`);
  if (remedy) printLine(context, `         ${visible(remedy)}`);
}

function printWarning(context: CliContext, { message, remedy }: Finding): void {
  printLine(context, `${paint(context, "yellow", "warning")}  ${visible(message)}`);
  if (remedy) printLine(context, `         ${visible(remedy)}`);
}
