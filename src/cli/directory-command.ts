// dirmfa directory: what is stored of each directory, and what an admin does when one is renamed or given up.

import type { Command } from "commander";
import { AppError } from "../errors.ts";
import { acceptServer } from "../sync/accept-server.ts";
import type { RekeyPlan, RekeyRule } from "../sync/plan-rekey.ts";
import { rekeyDirectory } from "../sync/rekey-directory.ts";
import { renameDirectory, retireDirectory } from "../sync/rename-directory.ts";
import { listStoredDirectories } from "../sync/stored-directories-table.ts";
import { holderName } from "../sync/sync-runner.ts";
import {
  type CliContext,
  exitCodes,
  getDirectory,
  type OpenCommand,
  type OutputOptions,
  parseLimit,
  withDatabase,
} from "./context.ts";
import { printJson, printLine, printTable } from "./print.ts";

interface RekeyOptions extends OutputOptions {
  by: string;
  approve?: string;
  limit: string;
}

export function addDirectoryCommand(program: Command, context: CliContext): void {
  const directory = program
    .command("directory")
    .description("directories: list, rename, retire, accept-server, rekey");
  directory
    .command("list")
    .description("what is stored of every directory, and whether it is configured")
    .option("--json", "print JSON")
    .action((options: OutputOptions) => withDatabase(context, (open) => list(context, open, options)));
  directory
    .command("rename")
    .description("give the users of a directory to the name that it has in the configuration now")
    .argument("<old>", "the name it had")
    .argument("<new>", "the name in the configuration")
    .option("--json", "print JSON")
    .action((oldName: string, newName: string, options: OutputOptions) =>
      withDatabase(context, (open) => rename(context, open, { oldName, newName }, options)),
    );
  directory
    .command("retire")
    .description("remove all users of a directory that is not configured any more")
    .argument("<name>")
    .option("--json", "print JSON")
    .action((name: string, options: OutputOptions) =>
      withDatabase(context, (open) => retire(context, open, name, options)),
    );
  directory
    .command("accept-server")
    .description("take a directory as its server has it now, though the server has less than it had")
    .argument("<name>")
    .option("--json", "print JSON")
    .action((name: string, options: OutputOptions) =>
      withDatabase(context, (open) => accept(context, open, name, options)),
    );
  directory
    .command("rekey")
    .description("give known users the ids that their entries have after a directory was restored or moved")
    .argument("<name>")
    .requiredOption("--by <rule>", "username, mail, or attribute:NAME with the id that the entry had before")
    .option("--approve <digest>", "apply the plan that has this digest; without it nothing is changed")
    .option("--limit <count>", "how many users of the plan to print", "100")
    .option("--json", "print JSON")
    .action((name: string, options: RekeyOptions) =>
      withDatabase(context, (open) => rekey(context, open, name, options)),
    );
}

/** What the flows that change stored directories take. */
function depsOf({ db, config }: OpenCommand) {
  return { db, holder: holderName(), directories: config.directories.map(({ name }) => name) };
}

async function list(context: CliContext, open: OpenCommand, options: OutputOptions): Promise<void> {
  const configured = depsOf(open).directories;
  const stored = await listStoredDirectories(open.db);
  const empty = { active: 0, disabled: 0, removed: 0, enrolled: 0, lastCompleteAt: null };
  const missing = configured.filter((name) => !stored.some((directory) => directory.name === name));
  const directories = [...stored, ...missing.map((name) => ({ name, ...empty }))].map((directory) => ({
    ...directory,
    configured: configured.includes(directory.name),
  }));
  if (options.json) return printJson(context, { directories });
  printTable(
    context,
    ["DIRECTORY", "CONFIGURED", "ACTIVE", "DISABLED", "REMOVED", "ENROLLED", "LAST COMPLETE LISTING"],
    directories.map((directory) => [
      directory.name,
      directory.configured ? "yes" : "no",
      directory.active,
      directory.disabled,
      directory.removed,
      directory.enrolled,
      directory.lastCompleteAt?.toISOString() ?? null,
    ]),
  );
}

async function rename(
  context: CliContext,
  open: OpenCommand,
  names: { oldName: string; newName: string },
  options: OutputOptions,
): Promise<void> {
  const answer = await renameDirectory(depsOf(open), { ...names, actor: open.actor });
  if (options.json) return printJson(context, answer);
  printLine(context, `${answer.users} users of ${names.oldName} are users of ${names.newName} now.`);
  if (answer.merged > 0) {
    printLine(
      context,
      `${answer.merged} of them had been imported again; they have their authenticators back.`,
    );
  }
  printLine(context, "Restart every daemon that still has the old configuration.");
}

async function retire(
  context: CliContext,
  open: OpenCommand,
  name: string,
  options: OutputOptions,
): Promise<void> {
  const users = await retireDirectory(depsOf(open), { name, actor: open.actor });
  if (options.json) return printJson(context, { users });
  printLine(context, `${users} users of ${name} are removed. They are purged after retention.removedUsers.`);
}

async function accept(
  context: CliContext,
  open: OpenCommand,
  name: string,
  options: OutputOptions,
): Promise<void> {
  const answer = await acceptServer(depsOf(open), { name, actor: open.actor });
  if (options.json) return printJson(context, answer);
  printLine(context, `${name} is taken as ${answer.server.url} had it at the last run.`);
  for (const sentence of answer.lost) printLine(context, `  ${sentence}`);
  printLine(context, "The next run changes and removes users again, under the limits.");
}

async function rekey(
  context: CliContext,
  open: OpenCommand,
  name: string,
  options: RekeyOptions,
): Promise<void> {
  const limit = parseLimit(options.limit, 1_000_000);
  const stop = new AbortController();
  const abort = () => stop.abort(new AppError("aborted", "The rekeying was stopped; nothing was changed."));
  process.once("SIGINT", abort).once("SIGTERM", abort);
  const { outcome, plan } = await rekeyDirectory(
    { db: open.db, log: open.log, holder: holderName() },
    {
      directory: getDirectory(open.config, name),
      rule: parseRule(options.by),
      approve: options.approve,
      actor: open.actor,
      signal: stop.signal,
    },
  );
  process.off("SIGINT", abort).off("SIGTERM", abort);
  if (outcome === "plan-differs") context.exitCode = exitCodes.held;
  if (options.json) return printJson(context, { outcome, ...plan });
  if (outcome === "applied") {
    printLine(context, `${plan.rekeyed.length} users of ${name} have the ids of their entries now.`);
    return;
  }
  if (outcome === "plan-differs")
    printLine(context, "Not applied: the plan is not the one that was approved.");
  printRekeyPlan(context, plan, { name, by: options.by, limit });
}

function parseRule(text: string): RekeyRule {
  if (text === "username" || text === "mail") return { by: text };
  const [, attribute] = /^attribute:([A-Za-z][A-Za-z0-9;-]*)$/.exec(text) ?? [];
  if (attribute !== undefined) return { by: "attribute", attribute };
  throw new AppError("invalid-usage", `--by wants username, mail or attribute:NAME, not ${text}.`);
}

function printRekeyPlan(
  context: CliContext,
  plan: RekeyPlan,
  { name, by, limit }: { name: string; by: string; limit: number },
): void {
  const { rekeyed, ambiguous, unmatched, digest } = plan;
  if (rekeyed.length > 0) {
    printTable(
      context,
      ["USERNAME", "ID NOW", "NEW ID", "DN"],
      rekeyed.slice(0, limit).map((user) => [user.username, user.oldId, user.newId, user.dn]),
    );
    if (rekeyed.length > limit)
      printLine(context, `… and ${rekeyed.length - limit} more; see them with --limit`);
    printLine(context);
  }
  if (ambiguous.length > 0) {
    printTable(
      context,
      ["NOT PLAIN, KEEPS ITS ID", "ENTRIES"],
      ambiguous.slice(0, limit).map(({ usernames, dns }) => [usernames.join(", "), dns.join(" and ")]),
    );
    printLine(context);
  }
  printLine(
    context,
    `${rekeyed.length} users get new ids, ${ambiguous.length} cases are not plain, ${unmatched} users are found nowhere.`,
  );
  if (rekeyed.length === 0) return;
  printLine(context, `Nothing was changed. To apply exactly this:`);
  printLine(context, `  dirmfa directory rekey ${name} --by ${by} --approve ${digest}`);
}
