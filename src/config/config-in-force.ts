// The configuration as admins and auditors may see it, in the console and through the API: what is named here and nothing
// else. No secret, no path of a key, no hash of a token. Pure.

import type { Config, DirectoryConfig, LimitName } from "./config.ts";

/** Durations are in seconds. */
export function configurationInForce(config: Config) {
  const { mfa, console, http, retention, database, log } = config;
  return {
    warnings: config.warnings,
    mfa: {
      mode: mfa.mode,
      requireForDirectories: mfa.requireForDirectories,
      requireForGroups: mfa.requireForGroups,
      requireForNewUsers: mfa.requireForNewUsers,
      initialImport: mfa.initialImport,
      enrollmentGrace: seconds(mfa.enrollmentGraceMs),
      enrollmentPass: mfa.enrollmentPass,
      enrollmentPassExpires: seconds(mfa.enrollmentPassExpiresMs),
      replaceWithBackupCode: mfa.replaceWithBackupCode,
      issuer: mfa.issuer,
      totpWindowSteps: mfa.totp.windowSteps,
      backupCodes: mfa.backupCodes.count,
      lockoutFailures: mfa.lockout.failures,
      lockoutFirst: seconds(mfa.lockout.firstMs),
      lockoutMaximum: seconds(mfa.lockout.maximumMs),
    },
    console: console
      ? {
          admin: console.roles.admin,
          helpDesk: console.roles.helpDesk,
          auditor: console.roles.auditor,
          idle: seconds(console.session.idleMs),
          absolute: seconds(console.session.absoluteMs),
          tls: console.tls !== undefined,
        }
      : null,
    callers: http.callers.map(({ name, scopes, protocol }) => ({ name, scopes, protocol })),
    directories: config.directories.map(directoryInForce),
    database: database.kind,
    retention: {
      removedUsers: seconds(retention.removedUsersMs),
      syncRuns: seconds(retention.syncRunsMs),
      auditEvents: retention.auditEventsMs === undefined ? null : seconds(retention.auditEventsMs),
    },
    logLevel: log.level,
  };
}

export type ConfigurationInForce = ReturnType<typeof configurationInForce>;

function directoryInForce({
  name,
  urls,
  kind,
  bind,
  users,
  groups,
  schedule,
  incrementalSchedule,
  timeZone,
  limits,
}: DirectoryConfig) {
  return {
    name,
    urls,
    kind: kind ?? null,
    bindDn: bind?.dn ?? null,
    userBases: users.bases,
    groupBases: groups?.bases ?? [],
    schedule: schedule ?? null,
    incrementalSchedule: incrementalSchedule ?? null,
    timeZone,
    limits: limitNames.map((limit) => ({
      name: limit,
      count: limits[limit].count,
      percent: limits[limit].percent,
    })),
  };
}

const limitNames = [
  "removals",
  "disables",
  "enables",
  "renames",
  "requirements",
  "newIds",
] as const satisfies LimitName[];

function seconds(ms: number): number {
  return ms / 1000;
}
