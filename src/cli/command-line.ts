// The command line: one file a command, put together here. Turns every way in which a command can end into an exit code
// and words for people.

import { Command, CommanderError } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import { AppError } from "../errors.ts";
import { addAuditCommand } from "./audit-command.ts";
import { addCheckCommand } from "./check-command.ts";
import { addConfigCommand } from "./config-command.ts";
import { type CliContext, type CliStreams, exitCodes } from "./context.ts";
import { addDatabaseCommand } from "./database-command.ts";
import { addDirectoryCommand } from "./directory-command.ts";
import { addKeyCommand } from "./key-command.ts";
import { addMigrateCommand } from "./migrate-command.ts";
import { addRunCommand } from "./run-command.ts";
import { addServeCommand } from "./serve-command.ts";
import { addSyncCommand } from "./sync-command.ts";
import { addTokenCommand } from "./token-command.ts";
import { addUserCommand } from "./user-command.ts";

const defaultConfigPath = "dirmfa.yaml";

/** Runs one command to its end and returns the exit code. Never throws. */
export async function runCommandLine(args: string[], streams: CliStreams): Promise<number> {
  const program = new Command("dirmfa")
    .description("MFA for the users of your LDAP or Active Directory")
    .version(packageJson.version)
    .option("--config <file>", "configuration file", streams.env.DIRMFA_CONFIG ?? defaultConfigPath)
    .option("--actor <name>", "for whom you act, beside your own name in the audit")
    .showHelpAfterError("(add --help for the usage)")
    .exitOverride();
  const context: CliContext = {
    ...streams,
    exitCode: exitCodes.done,
    configPath: () => program.opts<{ config: string }>().config,
    actorName: () => program.opts<{ actor?: string }>().actor,
  };
  for (const add of commands) add(program, context);
  writeTo(program, streams);
  try {
    await program.parseAsync(args, { from: "user" });
    return context.exitCode;
  } catch (error) {
    return reportFailure(error, streams);
  }
}

const commands = [
  addServeCommand,
  addSyncCommand,
  addMigrateCommand,
  addCheckCommand,
  addUserCommand,
  addRunCommand,
  addDirectoryCommand,
  addDatabaseCommand,
  addAuditCommand,
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

function reportFailure(error: unknown, streams: CliStreams): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  if (error instanceof AppError) {
    streams.stderr.write(`dirmfa: ${error.message}\n${error.remedy ? `${error.remedy}\n` : ""}`);
    return error.code === "invalid-usage" || error.code === "invalid-config"
      ? exitCodes.usage
      : exitCodes.failed;
  }
  streams.stderr.write(`dirmfa: unexpected error: ${error instanceof Error ? error.stack : String(error)}\n`);
  return exitCodes.failed;
}
