// dirmfa database: what an admin does with the database as a whole.

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { type RestoredAnswer, settleRestoredDatabase } from "../after-restore.ts";
import { systemClock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { User } from "../users/user.ts";
import { disableMfaByAdmin } from "../verification/disable-mfa.ts";
import { type CliContext, type OpenCommand, type OutputOptions, withDatabase } from "./context.ts";
import { getUser } from "./get-user.ts";
import { printJson, printLine } from "./print.ts";

interface RestoredOptions extends OutputOptions {
  endBackupCodes?: boolean;
  reset?: string;
}

export function addDatabaseCommand(program: Command, context: CliContext): void {
  const database = program.command("database").description("the database as a whole: restored");
  database
    .command("restored")
    .description(
      "run once after a backup was restored: spent codes stay spent, and you are told what is lost",
    )
    .option("--end-backup-codes", "end all backup codes, since some were spent after the backup")
    .option(
      "--reset <file>",
      "users, one a line, whose authenticator changed after the backup: they enroll again",
    )
    .option("--json", "print JSON")
    .action((options: RestoredOptions) => withDatabase(context, (open) => restored(context, open, options)));
}

async function restored(context: CliContext, open: OpenCommand, options: RestoredOptions): Promise<void> {
  // Every name is looked up before anything is changed.
  const users = options.reset === undefined ? [] : await usersOf(open, options.reset);
  const answer = await settleRestoredDatabase(
    { db: open.db, clock: systemClock, windowSteps: open.config.mfa.totp.windowSteps },
    { endBackupCodes: options.endBackupCodes ?? false, actor: open.actor },
  );
  let reset = 0;
  for (const user of users) {
    const { outcome } = await disableMfaByAdmin(
      { db: open.db, mfa: open.config.mfa, randomBytes },
      { userId: user.id, actor: open.actor },
    );
    if (outcome === "disabled") reset += 1;
  }
  if (options.json) return printJson(context, { ...answer, reset });
  printRestored(context, answer);
  if (users.length > 0)
    printLine(context, `${reset} of the ${users.length} users named have to enroll again.`);
}

async function usersOf(open: OpenCommand, file: string): Promise<User[]> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new AppError("invalid-usage", `The file ${file} cannot be read.`, { cause });
  });
  const names = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const users: User[] = [];
  for (const name of names) users.push(await getUser(open.db, name, undefined));
  return users;
}

function printRestored(context: CliContext, answer: RestoredAnswer): void {
  const { authenticators, pendingEnded, usersWithBackupCodes, backupCodesEnded, backupEndsAt } = answer;
  printLine(context, `${authenticators} authenticators take no code from before now.`);
  if (pendingEnded > 0) printLine(context, `${pendingEnded} enrollments that were not confirmed are ended.`);
  if (answer.passesEnded > 0)
    printLine(
      context,
      `${answer.passesEnded} enrollment passes are ended; issue new ones to those who need them.`,
    );
  printLine(
    context,
    backupCodesEnded
      ? `The backup codes of ${usersWithBackupCodes} users are ended; each makes new ones with a TOTP code.`
      : `${usersWithBackupCodes} users have backup codes. One that was spent after the backup works again; --end-backup-codes ends all.`,
  );
  printLine(
    context,
    "The next listing of each directory adds and changes; from the one after it on users are removed.",
  );
  printLine(context);
  printLine(
    context,
    `The backup's last event is of ${backupEndsAt?.toISOString() ?? "no time"}. Lost is what was done after it:`,
  );
  printLine(
    context,
    "  authenticators enrolled or replaced: the old phone works again, the new one does not (--reset FILE)",
  );
  printLine(context, "  resets by the help desk, lockouts, and requirements set for one user");
  printLine(
    context,
    "  users disabled or removed in the directory: run `dirmfa sync` before the daemons start",
  );
}
