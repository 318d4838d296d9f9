// dirmfa audit: read the audit events, and prove that nobody has edited them, or accept a break.

import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { acceptAudit } from "../audit/acceptance.ts";
import { type AuditEvent, auditActions, listAuditEvents } from "../audit/audit-events-table.ts";
import type { ChainProblem } from "../audit/chain.ts";
import { headFileOf, type NotedHead, notedHeadOf, readKeptHead } from "../audit/noted-head.ts";
import { type AuditVerification, verifyAuditChain } from "../audit/verify-audit-chain.ts";
import { systemClock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { openChainKey } from "../sealing/chain-key.ts";
import { openSealingKeys } from "../sealing/sealing-keys.ts";
import type { Database } from "../store/database.ts";
import {
  type CliContext,
  exitCodes,
  listWithinLimit,
  type OpenCommand,
  type OutputOptions,
  parseLimit,
  parseTime,
  withDatabase,
  wordOption,
} from "./context.ts";
import { getUser, isUserId } from "./get-user.ts";
import { printJson, printLine, printTable } from "./print.ts";

interface ListOptions extends OutputOptions {
  since?: string;
  action?: string;
  user?: string;
  directory?: string;
  limit: string;
}

export function addAuditCommand(program: Command, context: CliContext): void {
  const audit = program.command("audit").description("audit events: list, verify, accept");
  audit
    .command("list")
    .description("audit events, oldest first")
    .option("--since <time>", "only events since this time, as 2026-01-31 or 2026-01-31T12:00:00Z")
    .addOption(wordOption("--action <action>", "only this action", auditActions))
    .option("--user <user>", "only events about this user: username, alias or user id")
    .option("--directory <name>", "where the user's name lives in more than one directory")
    .option("--limit <count>", "how many", "100")
    .option("--json", "print JSON")
    .action((options: ListOptions) => withDatabase(context, ({ db }) => printEvents(context, db, options)));
  audit
    .command("verify")
    .description(
      "show any event that was edited, removed, inserted or reordered, or whose seal is late or missing",
    )
    .option("--head <head>", "what an earlier verify printed, to notice a cut-off end too")
    .option("--json", "print JSON")
    .action((options: VerifyOptions) => withDatabase(context, (open) => verify(context, open, options)));
  audit
    .command("accept")
    .description(
      "let the daemons go on from the chain that is there, after a restored backup or a stay without sealing",
    )
    .requiredOption("--reason <text>", "what happened; it becomes part of the audit")
    .option("--json", "print JSON")
    .action((options: AcceptOptions) => withDatabase(context, (open) => accept(context, open, options)));
}

interface VerifyOptions extends OutputOptions {
  head?: string;
}

interface AcceptOptions extends OutputOptions {
  reason: string;
}

async function verify(context: CliContext, open: OpenCommand, options: VerifyOptions): Promise<void> {
  const { db, config } = open;
  const chainKey = await openKey(open);
  const knownHead = options.head === undefined ? undefined : parseHead(options.head);
  const keptHead = await readKeptHead(config.audit.headFolder);
  const result = await verifyAuditChain({ db, chainKey, clock: systemClock }, { knownHead, keptHead });
  const headsFound = result.knownHeadFound !== false && result.keptHeadFound !== false;
  if (result.problems.length > 0 || !headsFound) context.exitCode = exitCodes.failed;
  if (options.json) printJson(context, result);
  else printVerification(context, result, headFileOf(config.audit.headFolder));
}

function printVerification(context: CliContext, result: AuditVerification, headFile: string): void {
  const { problems, waiting, accepted, gaps, head, cutUpTo } = result;
  for (const problem of problems) printLine(context, wordsFor(problem));
  if (result.knownHeadFound === false) {
    printLine(
      context,
      "The head that was noted is not in the chain: its end was cut off or written again, or it is another database's.",
    );
  }
  if (result.keptHeadFound === false) {
    printLine(context, `The head in ${headFile} is not in the chain: its end was cut off or written again.`);
    printLine(context, "After a restored backup, run `dirmfa audit accept`.");
  }
  for (const { firstId, lastId } of gaps) {
    const ids = firstId === lastId ? `Event ${firstId} is` : `Events ${firstId} to ${lastId} are`;
    printLine(context, `${ids} not there: rolled back, or deleted before being sealed.`);
  }
  if (cutUpTo !== null) printLine(context, `Retention has cut off the chain up to position ${cutUpTo}.`);
  if (accepted > 0) printLine(context, `${accepted} late seals were accepted by an admin.`);
  const wait = waiting > 0 ? `, ${waiting} wait for their seal` : "";
  printLine(context, `${result.sealed} events are ${verdictOf(problems)}${wait}.`);
  printLine(context, `Head, to note outside the database: ${head.position}:${head.mac}`);
}

function verdictOf(problems: readonly ChainProblem[]): string {
  if (problems.length === 0) return "as they were sealed";
  const isTime = ({ kind }: ChainProblem) => kind === "late" || kind === "misdated" || kind === "unsealed";
  return problems.every(isTime)
    ? "as they were sealed, but not all were sealed in time"
    : "NOT as they were sealed";
}

function wordsFor(problem: ChainProblem): string {
  const at = problem.position === null ? "" : ` at position ${problem.position}`;
  switch (problem.kind) {
    case "late":
    case "misdated":
      return `Event ${problem.eventId}${at} says ${problem.at} and was sealed at ${problem.sealedAt}: ${problem.kind}.`;
    case "unsealed":
      return `Event ${problem.eventId} is old and has no seal: it may have been changed.`;
    case "forged-cut":
      return `The beginning of the chain was cut off${at} by someone without the chain's key.`;
    default:
      return `Event ${problem.eventId ?? "(unknown)"} was ${problem.kind}${at}.`;
  }
}

async function accept(context: CliContext, open: OpenCommand, options: AcceptOptions): Promise<void> {
  const chainKey = await openKey(open);
  const reason = options.reason.trim();
  if (reason === "") throw new AppError("invalid-usage", "--reason wants some words about what happened.");
  const head = notedHeadOf(
    await acceptAudit({ db: open.db, chainKey, clock: systemClock }, { actor: open.actor, reason }),
  );
  if (options.json) return printJson(context, { head });
  printLine(context, `Accepted the chain up to position ${head.position}; running daemons go on from there.`);
}

/** The chain's key; throws AppError `key-missing` or `key-wrong` where the key folder does not fit the database. */
export async function openKey({ db, log, config, actor }: OpenCommand): Promise<Buffer> {
  const keys = await openSealingKeys({ db, folder: config.keys.folder, log, actor });
  return openChainKey({ db, keys, randomBytes });
}

function parseHead(text: string): NotedHead {
  const [, position, mac] = /^(\d{1,18}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (position !== undefined && mac !== undefined) return { position, mac };
  throw new AppError("invalid-usage", "--head wants what an earlier `audit verify` printed, as 123:0a1b….");
}

async function printEvents(context: CliContext, db: Database, options: ListOptions): Promise<void> {
  const filter = {
    ...(options.since === undefined ? {} : { since: parseTime("--since", options.since) }),
    ...(options.action === undefined ? {} : { action: options.action }),
    ...(options.user === undefined ? {} : { userId: await userIdOf(db, options.user, options.directory) }),
  };
  const { rows: events, more } = await listWithinLimit(context, parseLimit(options.limit, 100_000), (limit) =>
    listAuditEvents(db, { ...filter, limit }),
  );
  if (options.json) return printJson(context, { more, events });
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

/** A purged user is gone, but its events stay, and are found by its id. */
async function userIdOf(db: Database, who: string, directory: string | undefined): Promise<string> {
  return isUserId(who) ? who : (await getUser(db, who, directory)).id;
}

function detailsOf(event: AuditEvent): string | null {
  const facts = Object.entries(event.details).filter(([, value]) => value !== null);
  const texts = facts.map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return texts.join(" ") || null;
}
