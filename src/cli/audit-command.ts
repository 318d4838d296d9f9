// dirmfa audit: read the audit events, and prove that nobody has edited them.

import type { Command } from "commander";
import { type AuditEvent, listAuditEvents } from "../audit/audit-events-table.ts";
import { AppError } from "../errors.ts";
import type { Database } from "../store/database.ts";
import { type CliContext, type OutputOptions, parseLimit, withDatabase } from "./context.ts";
import { printJson, printTable } from "./print.ts";

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
