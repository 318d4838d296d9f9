// Checks the values of the other sections together: one database, a token for each caller, listeners, lockout, keys. Pure.

import { isAbsolute, relative, resolve, sep } from "node:path";
import {
  consoleAbsoluteSchema,
  consoleIdleSchema,
  consoleListenSchema,
  consolePublicUrlSchema,
  consoleRoles,
} from "./console-schema.ts";
import { databaseUrlWarning } from "./database-url.ts";
import { isOneReference } from "./env-references.ts";
import { isLoopback, parseDuration, parseListenAddress } from "./formats.ts";
import { callerNameSchema, listenSchema, tokenSha256Schema } from "./http-schema.ts";
import { type Meaning, refuse, refuseDoubled, refuseKey, warn, writtenAt } from "./meaning.ts";
import { enrollmentPassSchema, firstLockoutSchema, maximumLockoutSchema } from "./mfa-schema.ts";
import { type KeyPath, showPath } from "./problems.ts";
import { databaseUrlSchema, embeddedSchema, keysFolderSchema } from "./schema.ts";
import { isWritten } from "./yaml-source.ts";

export function checkService(meaning: Meaning): void {
  checkDatabase(meaning);
  checkKeysFolder(meaning);
  refuseDoubled(meaning, ["http", "callers"], "name", callerNameSchema);
  refuseDoubledTokens(meaning);
  checkListeners(meaning);
  checkConsole(meaning);
  checkLockout(meaning);
  if (meaning.lengthOf(["directories"]) === 0) warn(meaning, ["directories"], "no directory, so no users");
  if (meaning.lengthOf(["http", "callers"]) === 0)
    warn(meaning, ["http", "callers"], "no caller, so no one can use the API");
}

function checkDatabase(meaning: Meaning): void {
  const written = ["url", "urlFile", "embedded"].filter((key) =>
    isWritten(meaning.source, ["database", key]),
  );
  for (const key of written.slice(1)) {
    refuseKey(meaning, ["database", key], `${written[0]} is given too; one database is enough`);
  }
  const path = ["database", "url"];
  const url = meaning.part(path, databaseUrlSchema);
  if (url === undefined) return;
  if (hasPlainPassword(writtenAt(meaning, path) ?? "")) {
    const why = "a password in plain ends up in backups and version control";
    refuse(meaning, path, `${why}; use urlFile, or \${NAME} in the password's place`);
  }
  const warning = databaseUrlWarning(url);
  if (warning !== undefined) warn(meaning, path, warning);
}

/** True when a URL as written has a password that is not one reference; a URL that is a reference itself has none. */
function hasPlainPassword(written: string): boolean {
  const [, inUser = ""] = /\/\/[^/?#:@]*:([^/?#@]*)@/.exec(written) ?? [];
  const [, inQuery = ""] = /[?&]password=([^&#]*)/.exec(written) ?? [];
  return [inUser, inQuery].some((password) => password !== "" && !isOneReference(password));
}

/** Keys are outside the database so that a stolen copy of it is worth nothing; the embedded one is copied as a folder. */
function checkKeysFolder(meaning: Meaning): void {
  const keys = meaning.part(["keys", "folder"], keysFolderSchema);
  const embedded = meaning.part(["database", "embedded"], embeddedSchema);
  const isElsewhere = ["url", "urlFile"].some((key) => isWritten(meaning.source, ["database", key]));
  if (keys === undefined || embedded === undefined || isElsewhere) return;
  const way = relative(resolve(meaning.folder, embedded), resolve(meaning.folder, keys));
  if (way === "" || (!isAbsolute(way) && way.split(sep)[0] !== "..")) {
    refuse(
      meaning,
      ["keys", "folder"],
      "inside the embedded database's folder; a copy of one must not be a copy of both",
    );
  }
}

/** A token that two callers share would name either of them in the audit. Shows no value. */
function refuseDoubledTokens(meaning: Meaning): void {
  const first = new Map<string, KeyPath>();
  const callers = ["http", "callers"];
  for (let caller = 0; caller < meaning.lengthOf(callers); caller += 1) {
    const further = [...callers, String(caller), "furtherTokensSha256"];
    const paths = [
      [...callers, String(caller), "tokenSha256"],
      ...Array.from({ length: meaning.lengthOf(further) }, (_, index) => [...further, String(index)]),
    ];
    for (const path of paths) {
      const tokenSha256 = meaning.part(path, tokenSha256Schema);
      if (tokenSha256 === undefined) continue;
      const before = first.get(tokenSha256);
      if (before === undefined) first.set(tokenSha256, path);
      else refuse(meaning, path, `the same as ${showPath(before)}; each needs its own`);
    }
  }
}

function checkListeners(meaning: Meaning): void {
  const listen = meaning.part(["http", "listen"], listenSchema);
  const metrics = meaning.part(["http", "metricsListen"], listenSchema);
  // Port 0 is a free port each time.
  if (listen !== undefined && listen === metrics && !listen.endsWith(":0")) {
    refuse(
      meaning,
      ["http", "metricsListen"],
      "the same as http.listen; leave it out to serve metrics there",
    );
  }
  const address = listen === undefined ? undefined : parseListenAddress(listen);
  if (address?.kind !== "tcp" || isLoopback(address.host) || isWritten(meaning.source, ["http", "tls"]))
    return;
  warn(
    meaning,
    ["http", "listen"],
    "other machines can connect, and without http.tls tokens and codes travel unencrypted",
  );
}

function checkConsole(meaning: Meaning): void {
  const path = ["console", "listen"];
  const listen = meaning.part(path, consoleListenSchema);
  const publicUrl = meaning.part(["console", "publicUrl"], consolePublicUrlSchema);
  if (publicUrl !== undefined && URL.parse(publicUrl) === null)
    refuse(meaning, ["console", "publicUrl"], "not a URL");
  const http = meaning.part(["http", "listen"], listenSchema);
  const metrics = meaning.part(["http", "metricsListen"], listenSchema);
  if (listen !== undefined && [http, metrics].includes(listen) && !listen.endsWith(":0"))
    refuse(meaning, path, "the same as a listener of http; the console needs its own");
  const idle = meaning.part(["console", "session", "idle"], consoleIdleSchema);
  const absolute = meaning.part(["console", "session", "absolute"], consoleAbsoluteSchema);
  if ((parseDuration(idle ?? "") ?? 0) > (parseDuration(absolute ?? "") ?? Number.POSITIVE_INFINITY))
    refuse(meaning, ["console", "session", "idle"], "longer than session.absolute");
  if (listen !== undefined) warnOfRoles(meaning);
  const address = listen === undefined ? undefined : parseListenAddress(listen);
  const isEncrypted = isWritten(meaning.source, ["console", "tls"]) || publicUrl?.startsWith("https:");
  if (address?.kind !== "tcp" || isLoopback(address.host) || isEncrypted) return;
  warn(meaning, path, "other machines can connect, and without console.tls passwords travel unencrypted");
}

function warnOfRoles(meaning: Meaning): void {
  const path = ["console", "roles"];
  const roles = meaning.part(path, consoleRoles);
  const groups = Object.values(roles ?? {}).flat();
  if (groups.length === 0) return;
  if (groups.some((group) => !group.includes("=")))
    warn(meaning, path, "a group by name is one of any directory; a DN names one group alone");
  if (meaning.part(["mfa", "enrollmentPass"], enrollmentPassSchema) !== "required") {
    const what = "whoever has the password of a member without an authenticator can enroll in their place";
    warn(meaning, path, `${what}; mfa.enrollmentPass: required ends that`);
  }
}

function checkLockout(meaning: Meaning): void {
  const lockout = ["mfa", "lockout"];
  const first = meaning.part([...lockout, "first"], firstLockoutSchema);
  const maximum = meaning.part([...lockout, "maximum"], maximumLockoutSchema);
  if (first === undefined || maximum === undefined) return;
  if ((parseDuration(first) ?? 0) <= (parseDuration(maximum) ?? 0)) return;
  refuse(
    meaning,
    [...lockout, "first"],
    `found ${first}, wanted at most lockout.maximum, which is ${maximum}`,
  );
}
