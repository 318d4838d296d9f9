// What every command uses: streams, the configuration, an open database, and who is acting.

import { userInfo } from "node:os";
import type { WriteStream } from "node:tty";
import { Option } from "commander";
import { actorMaxLength, isActorName } from "../audit/actor-name.ts";
import type { Actor } from "../audit/audit-events-table.ts";
import type { Config, DirectoryConfig } from "../config/config.ts";
import { loadConfig } from "../config/load-config.ts";
import { AppError } from "../errors.ts";
import { createLog, type Log } from "../log.ts";
import { newRequestId } from "../request-id.ts";
import { type Database, openDatabase } from "../store/database.ts";
import { requireCurrentSchema } from "../store/migrate.ts";

/** The outside world of a command line. A stream that is a terminal gets colour and progress. */
export interface CliStreams {
  stdout: NodeJS.WritableStream & Partial<Pick<WriteStream, "isTTY" | "columns">>;
  stderr: NodeJS.WritableStream & Partial<Pick<WriteStream, "isTTY">>;
  env: NodeJS.ProcessEnv;
  /** Where the configuration is looked for when nothing is said; the usual places when not given. */
  configPaths?: readonly string[];
}

/** Done, failed, wrong usage or configuration, a run was held (SPEC section 5). */
export const exitCodes = { done: 0, failed: 1, usage: 2, held: 3 } as const;

export interface CliContext extends CliStreams {
  /** What the process will end with, unless the command throws. */
  exitCode: number;
  /** Path given with --config. */
  configPath(): string;
  /** The person given with --actor. */
  actorName(): string | undefined;
}

/** Options that every command printing data has. */
export interface OutputOptions {
  json?: boolean;
}

export interface OpenCommand {
  config: Config;
  db: Database;
  log: Log;
  actor: Actor;
}

/**
 * Who acts: `--actor`, the person behind sudo, and the account that runs the command, as far as they differ:
 * `jane (alice as dirmfa)`. The account is what the system knows; the others are the word of whoever uses it.
 */
function actorNameOf(context: CliContext): string {
  const account = userInfo().username;
  const sudoUser = context.env.SUDO_USER;
  const behind =
    sudoUser !== undefined && sudoUser !== account && isActorName(sudoUser) ? sudoUser : undefined;
  const seen = behind === undefined ? account : `${behind} as ${account}`;
  const named = context.actorName()?.trim();
  if (named === undefined) return seen;
  if (isActorName(named)) return `${named} (${seen})`;
  throw new AppError("invalid-usage", `--actor must be 1 to ${actorMaxLength} visible characters.`);
}

/** Who acts by this command; one request id for all that it does. */
export function actorOf(context: CliContext): Actor {
  return { name: actorNameOf(context), via: "cli", requestId: newRequestId() };
}

/** Runs `work` with the database open and its schema current, and closes it afterwards. */
export async function withDatabase<T>(
  context: CliContext,
  work: (open: OpenCommand) => Promise<T>,
  options: { requireSchema: boolean } = { requireSchema: true },
): Promise<T> {
  const config = await loadConfig(context.configPath(), context.env);
  const log = createCommandLog(context);
  const database = await openDatabase(config.database, { log, owner: false });
  try {
    if (options.requireSchema) await requireCurrentSchema(database.db);
    return await work({ config, db: database.db, log, actor: actorOf(context) });
  } finally {
    await database.close();
  }
}

/** A command's own log goes to standard error and holds only what someone should look at. */
export function createCommandLog(context: CliContext): Log {
  const destination = { write: (line: string) => void context.stderr.write(line) };
  return createLog("warn", destination, { withStacks: context.env.DIRMFA_STACK === "1" });
}

export function getDirectory(config: Config, name: string): DirectoryConfig {
  const directory = config.directories.find((candidate) => candidate.name === name);
  if (directory) return directory;
  const names = config.directories.map((candidate) => candidate.name).join(", ");
  throw new AppError("invalid-usage", `There is no directory ${name} in ${config.path}.`, {
    remedy: `The configured ones are: ${names}.`,
  });
}

/** An option that takes one of `words`; anything else is wrong usage, told with the words. */
export function wordOption(flags: string, description: string, words: readonly string[]): Option {
  return new Option(flags, description).choices(words);
}

/**
 * The rows that fit a limit. `list` is asked for one more, so that it is known whether there are more: programs that read JSON get
 * `more`, people and scripts a line on standard error.
 */
export async function listWithinLimit<Row>(
  context: CliContext,
  limit: number,
  list: (limit: number) => Promise<Row[]>,
): Promise<{ rows: Row[]; more: boolean }> {
  const rows = await list(limit + 1);
  const more = rows.length > limit;
  if (more) context.stderr.write(`dirmfa: only the first ${limit}, there are more; --limit shows them.\n`);
  return { rows: rows.slice(0, limit), more };
}

/** The text of a whole number between 1 and `max`; for options such as --limit. */
export function parseLimit(text: string, max = 1000): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new AppError("invalid-usage", `--limit wants a whole number from 1 to ${max}, not ${text}.`);
}

/** The time that an option says. */
export function parseTime(option: string, text: string): Date {
  const time = new Date(text);
  if (!Number.isNaN(time.getTime())) return time;
  throw new AppError("invalid-usage", `${option} wants a time as 2026-01-31T12:00:00Z, not ${text}.`);
}
