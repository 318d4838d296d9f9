// A checked configuration file and the contents of the files it names, to the Config that the rest of dirmfa reads. Pure,
// and without decisions: everything that can be wrong was told before.

import { dirname, resolve } from "node:path";
import { buildNotices } from "./build-notices.ts";
import type {
  AuditStreamConfig,
  Config,
  ConsoleConfig,
  DatabaseConfig,
  DirectoryConfig,
  DirectoryGroupsConfig,
  DirectoryUsersConfig,
  DisabledRule,
  HttpConfig,
  ListenAddress,
  MfaConfig,
} from "./config.ts";
import type { DirectoryFile } from "./directory-schema.ts";
import { parseAuditRetention, parseDuration, parseListenAddress } from "./formats.ts";
import type { ConfigFile } from "./schema.ts";

export interface CheckedConfig {
  path: string;
  file: ConfigFile;
  /** Contents by the key that names the file, such as `directories[0].tls.caFile`. */
  contents: ReadonlyMap<string, string>;
  warnings: string[];
}

export function buildConfig({ path, file, contents, warnings }: CheckedConfig): Config {
  const folder = dirname(path);
  return {
    path,
    warnings,
    database: buildDatabase(file, folder, contents),
    http: buildHttp(file, folder, contents),
    console: buildConsole(file, folder, contents),
    keys: { folder: resolve(folder, file.keys.folder) },
    audit: {
      headFolder: resolve(folder, file.audit.headFolder ?? file.keys.folder),
      stream: buildStream(file, folder, contents),
    },
    directories: file.directories.map((directory, index) => buildDirectory(directory, index, contents)),
    mfa: buildMfa(file),
    notices: buildNotices(file, contents),
    retention: {
      removedUsersMs: milliseconds(file.retention.removedUsers),
      syncRunsMs: milliseconds(file.retention.syncRuns),
      auditEventsMs: auditRetention(file.retention.auditEvents),
    },
    log: { level: file.log.level },
  };
}

function buildStream(
  { audit: { stream } }: ConfigFile,
  folder: string,
  contents: ReadonlyMap<string, string>,
): AuditStreamConfig | undefined {
  if (stream === undefined) return undefined;
  const { name, to } = stream;
  if (to === "stdout") return { name, target: { kind: "stdout" } };
  if (to.startsWith("file:")) return { name, target: { kind: "file", path: resolve(folder, to.slice(5)) } };
  const tokenSecret = contents.get("audit.stream.tokenFile");
  return {
    name,
    target: { kind: "https", url: to, tokenSecret, caPem: contents.get("audit.stream.caFile") },
  };
}

function buildDatabase(
  { database }: ConfigFile,
  folder: string,
  contents: ReadonlyMap<string, string>,
): DatabaseConfig {
  const url = database.url ?? contents.get("database.urlFile");
  if (url === undefined) return { kind: "embedded", folder: resolve(folder, database.embedded) };
  const { poolSize, preparedStatements } = database;
  return { kind: "postgres", url, poolSize, preparedStatements };
}

function buildHttp({ http }: ConfigFile, folder: string, contents: ReadonlyMap<string, string>): HttpConfig {
  const { listen, metricsListen, tls, callers } = http;
  return {
    listen: address(listen, folder),
    metricsListen: metricsListen === undefined ? undefined : address(metricsListen, folder),
    tls: tls && {
      certPem: contentOf(contents, "http.tls.certFile"),
      keyPemSecret: contentOf(contents, "http.tls.keyFile"),
      clientCaPem: contents.get("http.tls.clientCaFile"),
    },
    callers,
  };
}

function buildConsole(
  { console }: ConfigFile,
  folder: string,
  contents: ReadonlyMap<string, string>,
): ConsoleConfig | undefined {
  const { listen, publicUrl, tls, roles, session } = console;
  if (listen === undefined) return undefined;
  return {
    listen: address(listen, folder),
    publicOrigin: publicUrl === undefined ? undefined : new URL(publicUrl).origin,
    tls: tls && {
      certPem: contentOf(contents, "console.tls.certFile"),
      keyPemSecret: contentOf(contents, "console.tls.keyFile"),
      clientCaPem: undefined,
    },
    cookieSecure: publicUrl === undefined ? tls !== undefined : publicUrl.startsWith("https:"),
    roles,
    session: { idleMs: milliseconds(session.idle), absoluteMs: milliseconds(session.absolute) },
  };
}

function buildDirectory(
  file: DirectoryFile,
  index: number,
  contents: ReadonlyMap<string, string>,
): DirectoryConfig {
  const key = `directories[${index}]`;
  const { name, urls, tls, bind, timeZone, limits, timeouts, onDemand } = file;
  return {
    name,
    kind: file.kind === "auto" ? undefined : file.kind,
    urls,
    tls: {
      startTls: tls.startTls,
      caPem: contents.get(`${key}.tls.caFile`),
      serverName: tls.serverName,
      allowPlaintext: tls.allowPlaintext,
    },
    bind:
      bind === "anonymous"
        ? undefined
        : { dn: bind.dn, passwordSecret: bind.password ?? contentOf(contents, `${key}.bind.passwordFile`) },
    users: buildUsers(file),
    groups: buildGroups(file),
    schedule: file.schedule === "on-demand" ? undefined : file.schedule,
    incrementalSchedule: file.incrementalSchedule,
    timeZone,
    jitterMs: milliseconds(file.jitter),
    limits,
    timeouts: {
      connectMs: milliseconds(timeouts.connect),
      idleMs: milliseconds(timeouts.idle),
      listingMs: milliseconds(timeouts.listing),
    },
    onDemand: {
      enabled: onDemand.enabled,
      timeoutMs: milliseconds(onDemand.timeout),
      perMinute: onDemand.perMinute,
      unknownForMs: milliseconds(onDemand.unknownFor),
    },
  };
}

function buildUsers({ users }: DirectoryFile): DirectoryUsersConfig {
  const { id, username, displayName, email } = users.attributes;
  return {
    bases: users.bases,
    filter: users.filter,
    attributes: { id, username, displayName, email },
    disabled: users.disabled && buildDisabledRule(users.disabled),
    aliases: users.aliases,
    aliasDomain: users.aliasDomain,
  };
}

function buildDisabledRule(written: NonNullable<DirectoryFile["users"]["disabled"]>): DisabledRule {
  const { rule, attribute, values } = written;
  if (rule === "never") return { kind: "never" };
  if (rule === "user-account-control") return { kind: rule, attribute: attribute ?? "userAccountControl" };
  if (attribute === undefined) throw new Error("a disabled rule without its attribute passed the check");
  return { kind: "attribute", attribute, values };
}

function buildGroups({ groups }: DirectoryFile): DirectoryGroupsConfig | undefined {
  if (groups === undefined) return undefined;
  const { id, name } = groups.attributes;
  const { bases, filter, members, nested } = groups;
  return { bases, filter, attributes: { id, name }, members, nested };
}

function buildMfa({ mfa }: ConfigFile): MfaConfig {
  const { enrollmentGrace, enrollmentPassExpires, totp, lockout, ...same } = mfa;
  return {
    ...same,
    enrollmentGraceMs: milliseconds(enrollmentGrace),
    enrollmentPassExpiresMs: milliseconds(enrollmentPassExpires),
    totp: {
      windowSteps: totp.window === 0 ? 0 : totp.window === 1 ? 1 : 2,
      enrollmentExpiresMs: milliseconds(totp.enrollmentExpires),
    },
    lockout: {
      failures: lockout.failures,
      firstMs: milliseconds(lockout.first),
      maximumMs: milliseconds(lockout.maximum),
    },
  };
}

function milliseconds(text: string): number {
  const value = parseDuration(text);
  if (value === undefined) throw new Error("a text that is no duration passed the check");
  return value;
}

function auditRetention(text: string): number | undefined {
  const value = parseAuditRetention(text);
  if (value === undefined) throw new Error("a text that is no retention passed the check");
  return value === "forever" ? undefined : value;
}

function address(text: string, folder: string): ListenAddress {
  const parsed = parseListenAddress(text);
  if (parsed === undefined) throw new Error("a text that is no listen address passed the check");
  return parsed.kind === "unix" ? { kind: "unix", path: resolve(folder, parsed.path) } : parsed;
}

function contentOf(contents: ReadonlyMap<string, string>, key: string): string {
  const content = contents.get(key);
  if (content === undefined) throw new Error(`the file of ${key} was not read`);
  return content;
}
