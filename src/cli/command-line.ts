// The command line: one file a command, put together here; only the file of the command that is asked for is loaded. Turns
// every way in which a command can end into an exit code and words for people.

import { existsSync } from "node:fs";
import { Command } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import { type CliContext, type CliStreams, exitCodes } from "./context.ts";
import { reportFailure } from "./report-failure.ts";

// Where the configuration is looked for when nothing is said. The last one is named to an admin when none is there.
const usualConfigPaths = ["dirmfa.yaml", "/etc/dirmfa/dirmfa.yaml"];

/** Runs one command to its end and returns the exit code. Never throws. */
export async function runCommandLine(args: string[], streams: CliStreams): Promise<number> {
  try {
    const { program, context } = await createProgram(streams, commandWordOf(args));
    await program.parseAsync(args, { from: "user" });
    return context.exitCode;
  } catch (error) {
    return reportFailure(error, streams);
  }
}

/** The tree of commands, and what they act on. Of all commands, or where `only` names one, of that one alone. */
export async function createProgram(
  streams: CliStreams,
  only?: string,
): Promise<{ program: Command; context: CliContext }> {
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
  const wanted = only !== undefined && Object.hasOwn(commands, only) ? { [only]: commands[only] } : commands;
  for (const load of Object.values(wanted)) (await load?.())?.(program, context);
  writeTo(program, streams);
  return { program, context };
}

type AddCommand = (program: Command, context: CliContext) => void;

// In the order of the help. Each takes with it what it needs, and a start is mostly loading.
const commands: Readonly<Record<string, () => Promise<AddCommand>>> = {
  serve: async () => (await import("./serve-command.ts")).addServeCommand,
  sync: async () => (await import("./sync-command.ts")).addSyncCommand,
  migrate: async () => (await import("./migrate-command.ts")).addMigrateCommand,
  check: async () => (await import("./check-command.ts")).addCheckCommand,
  health: async () => (await import("./health-command.ts")).addHealthCommand,
  user: async () => (await import("./user-command.ts")).addUserCommand,
  run: async () => (await import("./run-command.ts")).addRunCommand,
  directory: async () => (await import("./directory-command.ts")).addDirectoryCommand,
  database: async () => (await import("./database-command.ts")).addDatabaseCommand,
  audit: async () => (await import("./audit-command.ts")).addAuditCommand,
  notice: async () => (await import("./notice-command.ts")).addNoticeCommand,
  key: async () => (await import("./key-command.ts")).addKeyCommand,
  token: async () => (await import("./token-command.ts")).addTokenCommand,
  config: async () => (await import("./config-command.ts")).addConfigCommand,
};

const optionsWithValue = ["--config", "--actor"];

/** The first word that is no option of the program, nor the value of one. */
function commandWordOf(args: readonly string[]): string | undefined {
  return args.find((arg, index) => !arg.startsWith("-") && !optionsWithValue.includes(args[index - 1] ?? ""));
}

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
