// How a command that failed is told: one or two sentences for people, never a stack and never SQL. And the exit code that
// tells programs what kind of failure it was.

import { CommanderError } from "commander";
import { AppError } from "../errors.ts";
import { databaseFailure } from "../store/database-errors.ts";
import { type CliStreams, exitCodes } from "./context.ts";
import { fileFailure } from "./file-failure.ts";
import { visible } from "./print.ts";

/** Writes why to standard error, and returns the exit code. */
export function reportFailure(error: unknown, streams: Pick<CliStreams, "stderr" | "env">): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  const known = knownFailure(error);
  if (known) {
    streams.stderr.write(wordsOf(known));
    return ["invalid-usage", "invalid-config", "wrong-user"].includes(known.code)
      ? exitCodes.usage
      : exitCodes.failed;
  }
  streams.stderr.write(`dirmfa: something unexpected happened: ${visible(firstLineOf(error))}\n`);
  streams.stderr.write(
    streams.env.DIRMFA_STACK === "1"
      ? `${error instanceof Error ? error.stack : String(error)}\n`
      : "DIRMFA_STACK=1 in the environment shows where; please report that to the maintainers.\n",
  );
  return exitCodes.failed;
}

/** The failure as one that an admin can act on; undefined for what nobody foresaw. */
export function knownFailure(error: unknown): AppError | undefined {
  if (error instanceof AppError) return error;
  // Files first: both know ENOENT and EACCES, and only a file's error has a system call other than connect.
  return fileFailure(error) ?? databaseFailure(error);
}

function wordsOf({ message, remedy }: AppError): string {
  return `dirmfa: ${message}\n${remedy ? `${remedy}\n` : ""}`;
}

function firstLineOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n", 1)[0] ?? "";
}
