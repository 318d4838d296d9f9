// dirmfa database: what an admin does with the database as a whole.

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { type RestoredAnswer, settleRestoredDatabase } from "../after-restore.ts";
import { acceptAudit } from "../audit/acceptance.ts";
import { recordAuditEvent } from "../audit/audit-events-table.ts";
import { verifyAuditChain } from "../audit/verify-audit-chain.ts";
import { systemClock } from "../clock.ts";
import { loadConfig } from "../config/load-config.ts";
import { AppError } from "../errors.ts";
import { copyDatabase } from "../store/copy-database.ts";
import { openDatabase } from "../store/database.ts";
import { findOtherPolicy } from "../users/apply-policy.ts";
import { mfaPolicyOf } from "../users/policy.ts";
import type { User } from "../users/user.ts";
import { disableMfaByAdmin } from "../verification/disable-mfa.ts";
import { openKey } from "./audit-command.ts";
import {
  actorOf,
  type CliContext,
  createCommandLog,
  exitCodes,
  type OpenCommand,
  type OutputOptions,
  withDatabase,
} from "./context.ts";
import { getUser } from "./get-user.ts";
import { printJson, printLine, printTable } from "./print.ts";

interface RestoredOptions extends OutputOptions {
  endBackupCodes?: boolean;
  reset?: string;
}

export function addDatabaseCommand(program: Command, context: CliContext): void {
  const database = program.command("database").description("the database as a whole: restored, copy");
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
  database
    .command("copy")
    .description(
      "copy everything into an empty PostgreSQL database, such as from the embedded one; stop all daemons first",
    )
    .requiredOption(
      "--to <config>",
      "configuration that names the empty database, and is to be used from then on",
    )
    .option("--json", "print JSON")
    .action((options: CopyOptions) => copy(context, options));
}

interface CopyOptions extends OutputOptions {
  to: string;
}

async function copy(context: CliContext, options: CopyOptions): Promise<void> {
  const config = await loadConfig(context.configPath(), context.env);
  const targetConfig = await loadConfig(options.to, context.env);
  if (targetConfig.database.kind !== "postgres") {
    throw new AppError("invalid-usage", `${targetConfig.path} does not name a PostgreSQL database.`, {
      remedy: "Give it a database.url or database.urlFile.",
    });
  }
  const log = createCommandLog(context);
  const actor = actorOf(context);
  await using stack = new AsyncDisposableStack();
  // As its owner, since a daemon beside would go on writing into what is copied.
  const source = stack.adopt(await openDatabase(config.database, { log, owner: true }), (it) => it.close());
  const target = stack.adopt(await openDatabase(targetConfig.database, { log, owner: true }), (it) =>
    it.close(),
  );
  const tables = await copyDatabase(source, target.db, {
    finish: async (trx, copied) => {
      const rows = copied.reduce((sum, table) => sum + table.rows, 0);
      const details = { tables: copied.length, rows, from: source.engine };
      await recordAuditEvent(trx, { actor, action: "database-copy", outcome: "done", details });
    },
  });
  const chainKey = await openKey({ db: target.db, log, config: targetConfig, actor });
  const audit = await verifyAuditChain({ db: target.db, chainKey, clock: systemClock });
  if (audit.problems.length > 0) context.exitCode = exitCodes.failed;
  if (options.json) return printJson(context, { tables, audit });
  printTable(
    context,
    ["TABLE", "ROWS"],
    tables.map(({ table, rows }) => [table, rows]),
  );
  printLine(context);
  printLine(context, "Copied, and every row compared.");
  printLine(
    context,
    audit.problems.length === 0
      ? `The audit chain is whole: ${audit.sealed} events are as they were sealed.`
      : `The audit chain has ${audit.problems.length} problems: see \`dirmfa --config ${targetConfig.path} audit verify\`.`,
  );
  printLine(
    context,
    "Start daemons with the new configuration alone; put the old database away, where nobody starts one on it.",
  );
}

async function restored(context: CliContext, open: OpenCommand, options: RestoredOptions): Promise<void> {
  // First, since it shows whether the key folder fits the backup.
  const chainKey = await openKey(open);
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
  const reason = "A backup of the database was restored.";
  await acceptAudit({ db: open.db, chainKey, clock: systemClock }, { actor: open.actor, reason });
  const { db, config } = open;
  const directories = config.directories.map(({ name }) => name);
  const otherPolicy = await findOtherPolicy({ db, policy: mfaPolicyOf(config.mfa), directories });
  const otherPolicySince = otherPolicy?.since ?? null;
  if (options.json) return printJson(context, { ...answer, reset, otherPolicySince });
  printRestored(context, answer);
  if (otherPolicySince) {
    printLine(
      context,
      `The MFA policy in force is the backup's, of ${otherPolicySince.toISOString()}, and not that of ${config.path}: until a daemon starts with this file, or reads it again, users are asked for what the backup's policy asks.`,
    );
  }
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
