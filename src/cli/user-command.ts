// dirmfa user: find users, see what decides about their MFA, and change what an admin may change.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Command } from "commander";
import { AppError } from "../errors.ts";
import { decideRequirement } from "../users/policy.ts";
import { setRequiredByAdmin } from "../users/require-mfa.ts";
import { type User, type UserState, userStates } from "../users/user.ts";
import type { UserConditions } from "../users/user-filter-table.ts";
import { usersAsCsv } from "../users/users-csv.ts";
import { listUsers } from "../users/users-table.ts";
import { type Identification, type IssuedPass, identifications } from "../verification/answers.ts";
import { disableMfaByAdmin } from "../verification/disable-mfa.ts";
import { issueEnrollmentPass } from "../verification/enrollment-pass.ts";
import { verificationStateOf } from "../verification/status-of.ts";
import { unlockUser } from "../verification/unlock-user.ts";
import {
  type CliContext,
  listWithinLimit,
  type OpenCommand,
  type OutputOptions,
  parseLimit,
  parseTime,
  withDatabase,
  wordOption,
} from "./context.ts";
import { getUser } from "./get-user.ts";
import { printFacts, printJson, printLine, printTable } from "./print.ts";
import { userAsJson, userFacts } from "./user-facts.ts";

// One screen.
const usualLimit = "50";

interface ListOptions extends OutputOptions {
  search?: string;
  state?: UserState;
  directory?: string;
  group?: string;
  required?: boolean;
  enrolled?: boolean;
  notEnrolled?: boolean;
  locked?: boolean;
  deadlineBefore?: string;
  csv?: boolean;
  limit?: string;
}

interface UserOptions extends OutputOptions {
  directory?: string;
  keepGrace?: boolean;
  pass?: boolean;
  identified?: Identification;
}

export function addUserCommand(program: Command, context: CliContext): void {
  const user = program
    .command("user")
    .description("users: list, show, require, unrequire, disable-mfa, pass, unlock");
  user
    .command("list")
    .description("users in the order of their names")
    .option("--search <text>", "part of username, display name or e-mail address")
    .addOption(wordOption("--state <state>", "only users in this state", userStates))
    .option("--directory <name>", "only this directory")
    .option("--group <group>", "only members of this group, by its name or DN")
    .option("--required", "only those who must use MFA")
    .option("--no-required", "only those who need not")
    .option("--enrolled", "only those with an authenticator")
    .option("--no-enrolled", "only those without")
    .option("--not-enrolled", "the same")
    .option("--locked", "only those who are locked out")
    .option(
      "--deadline-before <time>",
      "only those who must enroll before this, as 2026-01-31 or 2026-01-31T12:00:00Z",
    )
    .option("--limit <count>", `how many; ${usualLimit}, or with --csv all, when not given`)
    .option("--json", "print JSON")
    .option("--csv", "print CSV")
    .action((options: ListOptions) => withDatabase(context, (open) => printUsers(context, open, options)));
  addUserAction(user, context, "show", "one user: directory facts, state, and why MFA is required", showUser);
  addUserAction(user, context, "require", "require MFA of one user", (ctx, open, found, options) =>
    setRequired(ctx, open, found, options, true),
  );
  addUserAction(
    user,
    context,
    "unrequire",
    "take a user's own MFA requirement back",
    (ctx, open, found, options) => setRequired(ctx, open, found, options, false),
  );
  addUserAction(user, context, "disable-mfa", "remove a user's authenticator, without a code", disableMfa)
    .option("--keep-grace", "let a grace period that still runs go on; else it ends")
    .option("--pass", "issue an enrollment pass as well");
  addUserAction(user, context, "pass", "issue an enrollment pass; prints it once", issuePass).addOption(
    wordOption("--identified <how>", "how you know that it is them, for the audit event", identifications),
  );
  addUserAction(user, context, "unlock", "end a user's lockout", unlock);
}

type UserAction = (context: CliContext, open: OpenCommand, user: User, options: UserOptions) => Promise<void>;

function addUserAction(
  parent: Command,
  context: CliContext,
  name: string,
  description: string,
  action: UserAction,
): Command {
  return parent
    .command(name)
    .description(description)
    .argument("<user>", "username, alias or user id")
    .option("--directory <name>", "where the name lives in more than one directory")
    .option("--json", "print JSON")
    .action((who: string, options: UserOptions) =>
      withDatabase(context, async (open) =>
        action(context, open, await getUser(open.db, who, options.directory), options),
      ),
    );
}

async function printUsers(context: CliContext, open: OpenCommand, options: ListOptions): Promise<void> {
  const { search, state, directory, group, required, locked } = options;
  const enrolled = options.notEnrolled ? false : options.enrolled;
  const deadlineBefore =
    options.deadlineBefore === undefined ? undefined : parseTime("--deadline-before", options.deadlineBefore);
  const filter = { search, state, directory, group, required, enrolled, locked, deadlineBefore };
  if (options.csv) return printCsv(context, open, filter, options);
  const { rows: users, more } = await listWithinLimit(
    context,
    parseLimit(options.limit ?? usualLimit, 100_000),
    (limit) => listUsers(open.db, { ...filter, limit }),
  );
  if (options.json) return printJson(context, { more, users: users.map((user) => userAsJson(user)) });
  printTable(
    context,
    ["USERNAME", "NAME", "DIRECTORY", "STATE", "MFA REQUIRED BY"],
    users.map((user) => [
      user.username,
      user.displayName,
      user.directory,
      user.state,
      decideRequirement(user).requiredBy.join(", ") || null,
    ]),
  );
}

async function printCsv(
  context: CliContext,
  { db }: OpenCommand,
  filter: UserConditions,
  { json, limit }: ListOptions,
): Promise<void> {
  if (json || limit !== undefined) {
    throw new AppError("invalid-usage", "--csv prints the whole list, and not JSON.");
  }
  for await (const records of usersAsCsv(db, filter)) {
    // Waits for a reader of the pipe that is slow.
    if (!context.stdout.write(records)) await once(context.stdout, "drain");
  }
}

async function showUser(
  context: CliContext,
  open: OpenCommand,
  user: User,
  options: OutputOptions,
): Promise<void> {
  const verification = await verificationStateOf(open, { userId: user.id });
  if (options.json) printJson(context, { user: userAsJson(user), verification });
  else printFacts(context, userFacts(user, decideRequirement(user), verification));
}

async function setRequired(
  context: CliContext,
  open: OpenCommand,
  user: User,
  options: OutputOptions,
  required: boolean,
): Promise<void> {
  await setRequiredByAdmin({ db: open.db }, { userId: user.id, required, actor: open.actor });
  const after = await getUser(open.db, user.id, undefined);
  if (options.json) return printJson(context, { user: userAsJson(after) });
  const requirement = decideRequirement(after);
  printLine(
    context,
    requirement.required
      ? `MFA is required for ${after.username}: ${requirement.requiredBy.join(", ")}.`
      : `MFA is not required for ${after.username}.`,
  );
}

async function disableMfa(
  context: CliContext,
  open: OpenCommand,
  user: User,
  options: UserOptions,
): Promise<void> {
  const answer = await disableMfaByAdmin(
    { db: open.db, mfa: open.config.mfa, randomBytes },
    { userId: user.id, actor: open.actor, keepGrace: options.keepGrace, issuePass: options.pass },
  );
  if (options.json) {
    const pass = answer.outcome === "disabled" && answer.pass ? { pass: passAsJson(answer.pass) } : {};
    return printJson(context, { ...answer, ...pass });
  }
  if (answer.outcome !== "disabled") return printLine(context, `${user.username} has no authenticator.`);
  printLine(context, `The authenticator and backup codes of ${user.username} are gone.`);
  if (answer.pass) printPass(context, user, answer.pass);
}

async function issuePass(
  context: CliContext,
  open: OpenCommand,
  user: User,
  options: UserOptions,
): Promise<void> {
  const answer = await issueEnrollmentPass(
    { db: open.db, mfa: open.config.mfa, randomBytes },
    { userId: user.id, actor: open.actor, identified: options.identified },
  );
  if (answer.outcome !== "issued") throw refusedPass(user, answer.outcome);
  if (options.json) return printJson(context, passAsJson(answer.pass));
  printPass(context, user, answer.pass);
}

/** As the API has it. */
function passAsJson({ passPlain, expiresAt }: IssuedPass) {
  return { enrollmentPass: passPlain, expiresAt };
}

function refusedPass(user: User, outcome: "already-enrolled" | "user-not-active" | "user-unknown"): AppError {
  if (outcome === "already-enrolled") {
    return new AppError("invalid-request", `${user.username} has an authenticator already.`, {
      remedy: "If it is lost, `dirmfa user disable-mfa NAME --pass` ends it and issues a pass.",
    });
  }
  return new AppError("user-unknown", `${user.username} is removed.`);
}

function printPass(context: CliContext, user: User, pass: IssuedPass): void {
  printFacts(context, [
    ["enrollment pass", pass.passPlain],
    ["good until", `${pass.expiresAt.toISOString()}, once`],
  ]);
  printLine(context, `Hand it to ${user.displayName ?? user.username} alone; it is not shown again.`);
}

async function unlock(
  context: CliContext,
  open: OpenCommand,
  user: User,
  options: OutputOptions,
): Promise<void> {
  const answer = await unlockUser({ db: open.db }, { userId: user.id, actor: open.actor });
  if (options.json) return printJson(context, answer);
  const ended = answer.outcome === "unlocked" ? answer.methods : [];
  printLine(
    context,
    ended.length > 0
      ? `Failed codes of ${user.username} are forgotten, and lockouts ended: ${ended.join(", ")}.`
      : `${user.username} was not locked out, and had no failed codes.`,
  );
}
