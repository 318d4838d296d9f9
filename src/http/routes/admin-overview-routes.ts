// What the console's pages show beside users, runs and events: enrollment as a whole, the directories, the configuration in
// force, the audit chain. Reads only.

import type { Config } from "../../config/config.ts";
import { configurationInForce } from "../../config/config-in-force.ts";
import type { Database } from "../../store/database.ts";
import { listDirectoryStates } from "../../sync/directory-states.ts";
import { findCoverage, listEnrolledByDay } from "../../users/coverage-table.ts";
import type { App } from "../app-type.ts";
import {
  AuditChainState,
  ConfigurationInForce,
  DirectoryStates,
  Enrollment,
  EnrollmentQuery,
  enrollmentDays,
} from "./overview-schemas.ts";
import { runAnswerOf } from "./run-answer.ts";

export interface AdminOverviewDeps {
  db: Database;
  config: Config;
  /** The state of the audit chain, as the metrics tell it. */
  measureAudit(): Promise<{ unsealedSeconds: number; broken: boolean }>;
  /** When the schedule starts the next run of a directory; undefined for runs on demand. */
  nextRunOf(directory: string): Date | undefined;
}

export function addAdminOverviewRoutes(app: App, deps: AdminOverviewDeps): void {
  const { db, config } = deps;

  app.get(
    "/v1/admin/enrollment",
    {
      schema: {
        tags: ["admin"],
        summary: "How many active users are enrolled, now and over time",
        querystring: EnrollmentQuery,
        response: { 200: Enrollment },
      },
      config: { scope: ["admin", "audit"] },
    },
    async ({ query: { days = enrollmentDays } }) => {
      const [coverage, enrolledByDay] = await Promise.all([findCoverage(db), listEnrolledByDay(db, days)]);
      return { ...coverage, enrolledByDay };
    },
  );

  app.get(
    "/v1/admin/directories",
    {
      schema: {
        tags: ["admin"],
        summary: "The configured directories, with the age of their copies, the last run and the next",
        response: { 200: DirectoryStates },
      },
      config: { scope: ["admin", "audit"] },
    },
    async () => {
      const states = await listDirectoryStates(
        deps,
        config.directories.map(({ name }) => name),
      );
      return {
        directories: states.map(({ name, age, lastRun, nextRun }) => ({
          name,
          ageSeconds: age?.seconds ?? null,
          olderCopySeconds: age?.olderCopySeconds ?? null,
          skipped: age?.skipped ?? null,
          nextRunAt: nextRun?.toISOString() ?? null,
          lastRun: lastRun ? runAnswerOf(lastRun) : null,
        })),
      };
    },
  );

  app.get(
    "/v1/admin/audit-chain",
    {
      schema: {
        tags: ["admin"],
        summary: "Whether the audit chain is being sealed",
        description: "`dirmfa audit verify` checks all of it.",
        response: { 200: AuditChainState },
      },
      config: { scope: ["admin", "audit"] },
    },
    async () => deps.measureAudit(),
  );

  app.get(
    "/v1/admin/configuration",
    {
      schema: {
        tags: ["admin"],
        summary: "The configuration as it is in force, without secrets",
        description: "The file is the only place to change it. Durations are in seconds.",
        response: { 200: ConfigurationInForce },
      },
      config: { scope: ["admin", "audit"] },
    },
    async () => configurationInForce(config),
  );
}
