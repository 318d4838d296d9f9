// What `check` finds out about a start: everything that would stop it is a failure here, with the same words. Changes
// nothing.

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { access, constants } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pino } from "pino";
import { readKeptHead } from "../audit/noted-head.ts";
import type { Config, HttpTlsConfig, ListenAddress } from "../config/config.ts";
import { AppError } from "../errors.ts";
import { askHealth } from "../http/ask-health.ts";
import { certificateEnd, requireUsableCertificate } from "../http/server-certificate.ts";
import { tryListening } from "../http/try-listening.ts";
import { modeOpenToOthers } from "../sealing/key-folder.ts";
import { keyStatus } from "../sealing/key-status.ts";
import { tryKeys } from "../sealing/try-keys.ts";
import { type Database, openDatabase } from "../store/database.ts";
import { isEmbeddedDatabaseThere } from "../store/embedded/embedded-database.ts";
import { requireCurrentSchema, requireWritableSchema } from "../store/migrate.ts";
import { listOlderCopies } from "../sync/directories-table.ts";
import { listUnconfigured } from "../sync/rename-directory.ts";
import { findOtherPolicy } from "../users/apply-policy.ts";
import { mfaPolicyOf } from "../users/policy.ts";
import { listGroupsNotFound } from "../users/policy-table.ts";
import { listUsers } from "../users/users-table.ts";
import { checkNotices } from "./check-notices.ts";
import { type CliContext, createCommandLog } from "./context.ts";
import type { Finding } from "./finding.ts";
import { knownFailure } from "./report-failure.ts";

interface StartCheck {
  about: string;
  /** Throws what a start would throw. */
  look(): Promise<Finding[]>;
}

/** In the order in which a start needs them. Where the database fails, what stands in it is not looked at. */
export async function checkStart(context: CliContext, config: Config): Promise<Finding[]> {
  const database = await checkDatabase(context, config);
  const rest = await runChecks(listenerChecks(config, new Date()));
  return [...database, ...rest, ...(await checkNotices(config.notices))];
}

async function checkDatabase(context: CliContext, config: Config): Promise<Finding[]> {
  let database: Awaited<ReturnType<typeof openDatabase>>;
  try {
    requireDatabase(config);
    database = await openDatabase(config.database, { log: createCommandLog(context), owner: false });
  } catch (error) {
    return [failureOf("database", error)];
  }
  const { db, close } = database;
  try {
    const schema = await runChecks([{ about: "database", look: () => checkTables(config, db) }]);
    if (schema.some(({ level }) => level === "failed")) return schema;
    return [...schema, ...(await runChecks(storeChecks(config, db)))];
  } finally {
    await close();
  }
}

/** The listeners, with what shows that a dirmfa is running there, and their certificates. */
function listenerChecks({ http, console }: Config, now: Date): StartCheck[] {
  const { metricsListen } = http;
  const checks = [checkListener("http.listen", http.listen, () => askHealth(http))];
  if (metricsListen) {
    const listener = { listen: metricsListen, tls: undefined };
    checks.push(checkListener("http.metricsListen", metricsListen, () => askHealth(listener)));
  }
  if (http.tls) checks.push(checkCertificate("http.tls", http.tls, now));
  if (console)
    checks.push(checkListener("console.listen", console.listen, () => askHealth(console, "/sign-in")));
  if (console?.tls) checks.push(checkCertificate("console.tls", console.tls, now));
  return checks;
}

/** What is looked at once the tables are known to be current: one line a check. */
function storeChecks(config: Config, db: Database): StartCheck[] {
  return [
    { about: "keys", look: () => checkKeys(config, db) },
    { about: "directories", look: () => checkUnconfigured(config, db) },
    { about: "directories", look: () => checkOlderCopies(db) },
    { about: "mfa", look: () => checkPolicy(config, db) },
    { about: "audit.headFolder", look: () => checkHeadFolder(config) },
  ];
}

/** An embedded database is made where it is first opened, and a check makes nothing. */
function requireDatabase({ database }: Config): void {
  if (database.kind !== "embedded" || isEmbeddedDatabaseThere(database.folder)) return;
  throw new AppError("schema-too-old", `There is no embedded database in ${database.folder} yet.`, {
    remedy: "Run `dirmfa migrate`, which makes it.",
  });
}

async function checkTables(config: Config, db: Database): Promise<Finding[]> {
  await requireCurrentSchema(db);
  await requireWritableSchema(db);
  await listUsers(db, { limit: 1 });
  return [good("database", `${config.database.kind}, schema current`)];
}

async function checkKeys({ keys: { folder } }: Config, db: Database): Promise<Finding[]> {
  // Everything that a start would log about keys becomes a finding.
  const deps = { db, folder, log: pino({ level: "silent" }) };
  const active = await tryKeys({ ...deps, randomBytes });
  const all = await keyStatus(deps);
  const unused = all.filter(({ state, id }) => state === "unused" && id !== active).map(({ id }) => id);
  const more = unused.length === 0 ? "" : `; not in use yet: ${unused.join(", ")}`;
  const findings = [good("keys", `${active} seals new secrets${more}`)];
  for (const { id, file } of all) {
    if (file !== "present") continue;
    const path = join(folder, `${id}.key`);
    if ((await modeOpenToOthers(path)) === undefined) continue;
    findings.push({
      level: "warning",
      about: "keys",
      message: `${path} can be read or changed by other users of this machine`,
      remedy: "chmod 600 keeps it to its owner.",
    });
  }
  return findings;
}

/** A daemon starts without it, and then somebody who cuts off the end of the audit chain is not noticed after its restart. */
async function checkHeadFolder({ audit: { headFolder } }: Config): Promise<Finding[]> {
  const kept = await readKeptHead(headFolder);
  const present = kept ? `the end noted at ${kept.notedAt.toISOString()}` : "no end noted yet";
  try {
    // The daemon makes it where it is missing.
    await access(existsSync(headFolder) ? headFolder : dirname(headFolder), constants.W_OK);
  } catch {
    return [
      {
        level: "warning",
        about: "audit.headFolder",
        message: `this user cannot write in ${headFolder}, where the end of the audit chain is kept (${present})`,
        remedy: "Run `check` as the daemon's user. Set audit.headFolder to a folder that it can write in.",
      },
    ];
  }
  return [good("audit.headFolder", `${headFolder}, ${present}`)];
}

/** Directories with users that the configuration does not name. */
async function checkUnconfigured(config: Config, db: Database): Promise<Finding[]> {
  const directories = config.directories.map(({ name }) => name);
  const unconfigured = await listUnconfigured({ db, directories });
  return unconfigured.map(({ name, users }) => ({
    level: "warning",
    about: "directories",
    message: `${users} users of the directory ${name} are stored, which is not configured: they cannot sign in`,
    remedy: `\`dirmfa directory rename ${name} NEW\` if it was renamed, \`dirmfa directory retire ${name}\` if it was given up.`,
  }));
}

/** The policy in force, which may be another configuration's, and its groups that no run has found. */
async function checkPolicy(config: Config, db: Database): Promise<Finding[]> {
  const directories = config.directories.map(({ name }) => name);
  const other = await findOtherPolicy({ db, policy: mfaPolicyOf(config.mfa), directories });
  const findings: Finding[] = (await listGroupsNotFound(db)).map((key) => ({
    level: "warning",
    about: "mfa",
    message: `no run has found the group ${key.slice(key.indexOf(":") + 1)} of mfa.requireForGroups: it requires MFA of nobody`,
    remedy: "Check its name or DN, and that `groups` of its directory finds it.",
  }));
  if (other) {
    findings.push({
      level: "warning",
      about: "mfa",
      message: `another configuration's policy is in force since ${other.since.toISOString()}: this one differs in \`mfa\` or in its directories`,
      remedy: "A start of the daemon with this file, or its reload, puts this one in force.",
    });
  }
  return findings;
}

/** Directories that answer with older copies alone. */
async function checkOlderCopies(db: Database): Promise<Finding[]> {
  return (await listOlderCopies(db)).map(({ directory, since }) => ({
    level: "warning",
    about: "directories",
    message: `${directory} has answered with older copies than before since ${since.toISOString()}: users are added, and nobody is changed or removed`,
    remedy: `Wait until its server has caught up; if it never will, \`dirmfa directory accept-server ${directory}\` takes it as it is.`,
  }));
}

function checkListener(about: string, address: ListenAddress, isServed: () => Promise<boolean>): StartCheck {
  const shown = address.kind === "unix" ? `unix:${address.path}` : `${address.host}:${address.port}`;
  return {
    about,
    async look() {
      const answer = await tryListening(address, isServed);
      return [good(about, answer === "free" ? `${shown} is free` : `dirmfa is running at ${shown}`)];
    },
  };
}

// Long enough to get a new one in an organization that needs an approval for it.
const certificateWarningDays = 14;

function checkCertificate(about: string, tls: HttpTlsConfig, now: Date): StartCheck {
  return {
    about,
    async look() {
      requireUsableCertificate(tls, about);
      const end = certificateEnd(tls);
      const daysLeft = (end.getTime() - now.getTime()) / 86_400_000;
      if (!(daysLeft < certificateWarningDays)) return [];
      const message = `the certificate ${daysLeft < 0 ? "ended" : "ends"} on ${end.toISOString().slice(0, 10)}`;
      return [{ level: "warning", about, message, remedy: "Get a new one, and restart dirmfa." }];
    },
  };
}

async function runChecks(checks: readonly StartCheck[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { about, look } of checks) {
    try {
      findings.push(...(await look()));
    } catch (error) {
      findings.push(failureOf(about, error));
    }
  }
  return findings;
}

function good(about: string, message: string): Finding {
  return { level: "good", about, message };
}

function failureOf(about: string, error: unknown): Finding {
  const failure = knownFailure(error);
  if (!failure) throw error;
  const { code, message, remedy } = failure;
  return { level: "failed", about, code, message, remedy };
}
