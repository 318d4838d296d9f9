// Answers of the admin scope about the whole: enrollment, directories, audit chain, configuration.

import { Type } from "typebox";
import { Closed, Named, Nullable, Words } from "../schemas.ts";
import { SyncRun } from "./admin-sync-schemas.ts";

const Count = Type.Integer();
const Texts = Type.Array(Type.String());
const Seconds = Type.Number({ description: "Seconds" });

/** A quarter, as the console shows. */
export const enrollmentDays = 90;
export const EnrollmentQuery = Closed({
  // Longer than a year is a matter for whoever keeps the answers.
  days: Type.Optional(Type.Integer({ minimum: 1, maximum: 366, description: "90 when not given" })),
});
export const Enrollment = Named("Enrollment", {
  active: Count,
  required: Count,
  enrolled: Count,
  missing: Type.Integer({ description: "Required, and not enrolled" }),
  overdue: Type.Integer({ description: "Of these, those who are stopped at the next sign-in" }),
  enrolledByDay: Type.Array(
    Closed({ day: Type.String({ description: "As 2026-01-31, in UTC" }), enrolled: Count }),
    {
      description:
        "Oldest first, up to today: active users who are enrolled now, and were so at the end of that day with the same device",
    },
  ),
});

export const DirectoryStates = Named("Directories", {
  directories: Type.Array(
    Named("DirectoryState", {
      name: Type.String(),
      ageSeconds: Nullable(
        Type.Number({ description: "Since the last complete listing was applied; null before the first" }),
      ),
      olderCopySeconds: Nullable(
        Type.Number({ description: "Since listings are of an older copy; null when the last one was not" }),
      ),
      skipped: Nullable(
        Type.Integer({ description: "Entries of the last complete listing that could not be used" }),
      ),
      nextRunAt: Nullable(
        Type.String({
          format: "date-time",
          description: "By the schedule of the replica that answers; null for runs on demand",
        }),
      ),
      lastRun: Nullable(SyncRun),
    }),
  ),
});

export const AuditChainState = Named("AuditChainState", {
  unsealedSeconds: Type.Number({
    description: "How long the oldest event waits for its seal; 0 when none does",
  }),
  broken: Type.Boolean({ description: "Nothing is sealed until somebody looks" }),
});

export const ConfigurationInForce = Named("ConfigurationInForce", {
  warnings: Texts,
  mfa: Closed({
    mode: Words(["optional", "required"]),
    requireForDirectories: Texts,
    requireForGroups: Texts,
    requireForNewUsers: Type.Boolean(),
    initialImport: Words(["exempt", "include"]),
    enrollmentGrace: Seconds,
    enrollmentPass: Words(["optional", "required"]),
    enrollmentPassExpires: Seconds,
    replaceWithBackupCode: Type.Boolean(),
    issuer: Type.String(),
    totpWindowSteps: Count,
    backupCodes: Count,
    lockoutFailures: Count,
    lockoutFirst: Seconds,
    lockoutMaximum: Seconds,
  }),
  console: Nullable(
    Closed({
      admin: Texts,
      helpDesk: Texts,
      auditor: Texts,
      idle: Seconds,
      absolute: Seconds,
      tls: Type.Boolean(),
    }),
  ),
  callers: Type.Array(Closed({ name: Type.String(), scopes: Texts, protocol: Type.String() })),
  directories: Type.Array(
    Closed({
      name: Type.String(),
      urls: Texts,
      kind: Nullable(Type.String({ description: "Null: found from the server" })),
      bindDn: Nullable(Type.String({ description: "Null: anonymous" })),
      userBases: Texts,
      groupBases: Texts,
      schedule: Nullable(Type.String({ description: "Null: runs on demand only" })),
      incrementalSchedule: Nullable(Type.String({ description: "Null: full runs only" })),
      timeZone: Type.String(),
      limits: Type.Array(Closed({ name: Type.String(), count: Count, percent: Type.Number() })),
    }),
  ),
  database: Words(["postgres", "embedded"]),
  retention: Closed({
    removedUsers: Seconds,
    syncRuns: Seconds,
    auditEvents: Nullable(Type.Number({ description: "Seconds; null: for ever" })),
  }),
  logLevel: Type.String(),
});
