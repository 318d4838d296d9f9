// dirmfa audit: read the audit events, and prove that nobody has edited them.

import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { type AuditEvent, listAuditEvents } from "../audit/audit-events-table.ts";
import type { ChainProblem } from "../audit/chain.ts";
import type { NotedHead } from "../audit/seal-audit-events.ts";
import { verifyAuditChain } from "../audit/verify-audit-chain.ts";
import { AppError } from "../errors.ts";
import type { Database } from "../store/database.ts";
import { openChainKey } from "../verification/chain-key.ts";
import { openSealingKeys } from "../verification/sealing-keys.ts";
import {
  type CliContext,
  exitCodes,
  type OpenCommand,
  type OutputOptions,
  parseLimit,
  withDatabase,
} from "./context.ts";
import { printJson, printLine, printTable } from "./print.ts";

interface ListOptions extends OutputOptions {
  since?: string;
  action?: string;
  user?: string;
  limit: string;
}

export function addAuditCommand(program: Command, context: CliContext): void {
  const audit = program.command("audit").description("audit events: list, verify");
  audit
    .command("list")
    .description("audit events, oldest first")
    .option("--since <time>", "only events since this time, as 2026-01-31 or 2026-01-31T12:00:00Z")
    .option("--action <action>", "only this action, as mfa-require")
    .option("--user <user id>", "only events about this user")
    .option("--limit <count>", "how many", "100")
    .option("--json", "print JSON")
    .action((options: ListOptions) => withDatabase(context, ({ db }) => printEvents(context, db, options)));
  audit
    .command("verify")
    .description("show any event that was edited, removed, inserted or reordered")
    .option("--head <head>", "what an earlier verify printed, to notice a cut-off end too")
    .option("--json", "print JSON")
    .action((options: VerifyOptions) => withDatabase(context, (open) => verify(context, open, options)));
}

interface VerifyOptions extends OutputOptions {
  head?: string;
}

async function verify(context: CliContext, open: OpenCommand, options: VerifyOptions): Promise<void> {
  const { db, log, config } = open;
  const keys = await openSealingKeys({ db, folder: config.keys.folder, log });
  const chainKey = await openChainKey({ db, keys, randomBytes });
  const knownHead = options.head === undefined ? undefined : parseHead(options.head);
  const result = await verifyAuditChain({ db, chainKey }, knownHead ? { knownHead } : {});
  if (result.problems.length > 0 || result.knownHeadFound === false) context.exitCode = exitCodes.failed;
  if (options.json) {
    printJson(context, result);
    return;
  }
  for (const problem of result.problems) printLine(context, wordsFor(problem));
  if (result.knownHeadFound === false) {
    printLine(context, "The head that was noted is not in the chain: its end was cut off or made anew.");
  }
  const waiting = result.waiting > 0 ? `, ${result.waiting} wait for their seal` : "";
  const verdict = context.exitCode === exitCodes.done ? "as they were sealed" : "NOT as they were sealed";
  printLine(context, `${result.sealed} events are ${verdict}${waiting}.`);
  printLine(context, `Head, to note outside the database: ${result.head.position}:${result.head.mac}`);
}

function wordsFor(problem: ChainProblem): string {
  const at = problem.position === null ? "" : ` at position ${problem.position}`;
  return `Event ${problem.eventId ?? "(unknown)"} was ${problem.kind}${at}.`;
}

function parseHead(text: string): NotedHead {
  const [, position, mac] = /^(\d+):([0-9a-f]{64})$/.exec(text) ?? [];
  if (position !== undefined && mac !== undefined) return { position, mac };
  throw new AppError("invalid-usage", "--head wants what an earlier `audit verify` printed, as 123:0a1b….");
}

async function printEvents(context: CliContext, db: Database, options: ListOptions): Promise<void> {
  const events = await listAuditEvents(db, {
    limit: parseLimit(options.limit, 100_000),
    ...(options.since === undefined ? {} : { since: parseTime(options.since) }),
    ...(options.action === undefined ? {} : { action: options.action }),
    ...(options.user === undefined ? {} : { userId: options.user }),
  });
  if (options.json) return printJson(context, { events });
  printTable(
    context,
    ["TIME", "ACTOR", "VIA", "ACTION", "OUTCOME", "ABOUT", "DETAILS"],
    events.map((event) => [
      event.at.toISOString(),
      event.actor,
      event.via,
      event.action,
      event.outcome,
      event.userId ?? event.directory,
      detailsOf(event),
    ]),
  );
}

function detailsOf(event: AuditEvent): string | null {
  const facts = Object.entries(event.details).filter(([, value]) => value !== null);
  const texts = facts.map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return texts.join(" ") || null;
}

function parseTime(text: string): Date {
  const time = new Date(text);
  if (!Number.isNaN(time.getTime())) return time;
  throw new AppError("invalid-usage", `--since wants a time as 2026-01-31T12:00:00Z, not ${text}.`);
}
