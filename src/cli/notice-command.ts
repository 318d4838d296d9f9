// dirmfa notice: what waits to be delivered, what was given up, and another try.

import type { Command } from "commander";
import { AppError } from "../errors.ts";
import { type NoticeState, noticeStates } from "../notices/notice.ts";
import { listNotices } from "../notices/notices-table.ts";
import { retryNotices } from "../notices/retry-notices.ts";
import { uuidPattern } from "../uuid.ts";
import {
  type CliContext,
  listWithinLimit,
  type OpenCommand,
  type OutputOptions,
  parseLimit,
  withDatabase,
  wordOption,
} from "./context.ts";
import { printJson, printLine, printTable } from "./print.ts";

interface ListOptions extends OutputOptions {
  state?: NoticeState;
  limit: string;
}

interface RetryOptions extends OutputOptions {
  all?: boolean;
}

export function addNoticeCommand(program: Command, context: CliContext): void {
  const notice = program.command("notice").description("notices to users and admins: list, retry");
  notice
    .command("list")
    .description("notices, newest first")
    .addOption(wordOption("--state <state>", "only notices in this state", noticeStates))
    .option("--limit <count>", "how many", "50")
    .option("--json", "print JSON")
    .action((options: ListOptions) => withDatabase(context, (open) => printNotices(context, open, options)));
  notice
    .command("retry")
    .description("try a dead notice again, or all of them with --all")
    .argument("[id]", "id of the notice")
    .option("--all", "every dead notice")
    .option("--json", "print JSON")
    .action((id: string | undefined, options: RetryOptions) =>
      withDatabase(context, (open) => retry(context, open, id, options)),
    );
}

async function printNotices(context: CliContext, { db }: OpenCommand, options: ListOptions): Promise<void> {
  const { rows: notices, more } = await listWithinLimit(
    context,
    parseLimit(options.limit, 100_000),
    (limit) => listNotices(db, { state: options.state, limit }),
  );
  if (options.json) return printJson(context, { more, notices });
  printTable(
    context,
    ["ID", "SINCE", "KIND", "THROUGH", "FOR", "STATE", "TRIES", "ERROR"],
    notices.map((notice) => [
      notice.id,
      notice.createdAt.toISOString(),
      notice.kind,
      notice.channel,
      notice.user?.username ?? "admins",
      notice.state,
      notice.attempts,
      notice.lastError,
    ]),
  );
}

async function retry(
  context: CliContext,
  { db, actor }: OpenCommand,
  id: string | undefined,
  options: RetryOptions,
): Promise<void> {
  if ((id === undefined) === (options.all !== true)) {
    throw new AppError("invalid-usage", "Give the id of one notice, or --all.");
  }
  if (id !== undefined && !uuidPattern.test(id))
    throw new AppError("invalid-usage", `${id} is no id of a notice.`);
  const retried = await retryNotices({ db }, { id, actor });
  if (retried === 0) context.exitCode = id === undefined ? context.exitCode : 1;
  if (options.json) return printJson(context, { retried });
  printLine(
    context,
    `${retried} dead ${retried === 1 ? "notice waits" : "notices wait"} for delivery again.`,
  );
}
