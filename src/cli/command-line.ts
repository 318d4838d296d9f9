// The command line: one file a command, put together here. Turns every way in which a command can end into an exit code
// and words for people.

import { existsSync } from "node:fs";
import { Command } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import { addAuditCommand } from "./audit-command.ts";
import { addCheckCommand } from "./check-command.ts";
import { addConfigCommand } from "./config-command.ts";
import { type CliContext, type CliStreams, exitCodes } from "./context.ts";
import { addDatabaseCommand } from "./database-command.ts";
import { addDirectoryCommand } from "./directory-command.ts";
import { addHealthCommand } from "./health-command.ts";
import { addKeyCommand } from "./key-command.ts";
import { addMigrateCommand } from "./migrate-command.ts";
import { addNoticeCommand } from "./notice-command.ts";
import { reportFailure } from "./report-failure.ts";
import { addRunCommand } from "./run-command.ts";
import { addServeCommand } from "./serve-command.ts";
import { addSyncCommand } from "./sync-command.ts";
import { addTokenCommand } from "./token-command.ts";
import { addUserCommand } from "./user-command.ts";

// Where the configuration is looked for when nothing is said. The last one is named to an admin when none is there.
const usualConfigPaths = ["dirmfa.yaml", "/etc/dirmfa/dirmfa.yaml"];

/** Runs one command to its end and returns the exit code. Never throws. */
export async function runCommandLine(args: string[], streams: CliStreams): Promise<number> {
  const { program, context } = createProgram(streams);
  try {
    await program.parseAsync(args, { from: "user" });
    return context.exitCode;
  } catch (error) {
    return reportFailure(error, streams);
  }
}

/** The tree of commands, and what they act on. */
export function createProgram(streams: CliStreams): { program: Command; context: CliContext } {
  const program = new Command("dirmfa")
    .description("MFA for the users of your LDAP or Active Directory")
    .version(packageJson.version)
    .option(
      "--config <file>",
      "configuration file; default: DIRMFA_CONFIG, dirmfa.yaml here, or /etc/dirmfa/dirmfa.yaml",
    )
    .option("--actor <name>", "for whom you act, beside your own name in the audit")
    .showHelpAfterError("(add --help for the usage)")
    .exitOverride();
  const context: CliContext = {
    ...streams,
    exitCode: exitCodes.done,
    configPath: () =>
      program.opts<{ config?: string }>().config ?? streams.env.DIRMFA_CONFIG ?? usualConfigPath(streams),
    actorName: () => program.opts<{ actor?: string }>().actor,
  };
  for (const add of commands) add(program, context);
  writeTo(program, streams);
  return { program, context };
}

const commands = [
  addServeCommand,
  addSyncCommand,
  addMigrateCommand,
  addCheckCommand,
  addHealthCommand,
  addUserCommand,
  addRunCommand,
  addDirectoryCommand,
  addDatabaseCommand,
  addAuditCommand,
  addNoticeCommand,
  addKeyCommand,
  addTokenCommand,
  addConfigCommand,
];

/** Commands inherit neither the streams nor the exit override when they are made with `command()` before these are set. */
function writeTo(command: Command, streams: CliStreams): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => streams.stdout.write(text),
    writeErr: (text) => streams.stderr.write(text),
  });
  for (const child of command.commands) writeTo(child, streams);
}

/** The first that is there; its own rights to read it are told when it is read. */
function usualConfigPath({ configPaths = usualConfigPaths }: CliStreams): string {
  return configPaths.find((path) => existsSync(path)) ?? configPaths.at(-1) ?? "dirmfa.yaml";
}
