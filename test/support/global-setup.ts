// Runs once a vitest project, before its first test: makes the migrated template that every test database is a copy of.

import { pino } from "pino";
import type { TestProject } from "vitest/node";
import { openDatabase } from "../../src/store/database.ts";
import { migrateToLatest } from "../../src/store/migrate.ts";
import { runStatement, startPostgres } from "./postgres.ts";

declare module "vitest" {
  export interface ProvidedContext {
    engine: "postgres" | "embedded";
    /** Of the server's database `postgres`; project `postgres` only. */
    postgresUrl: string;
    /** Folder of a migrated embedded database; project `embedded` only. */
    embeddedTemplate: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  return project.config.provide["engine"] === "embedded" ? async () => {} : await setUpPostgres(project);
}

async function setUpPostgres(project: TestProject): Promise<() => Promise<void>> {
  const server = await startPostgres();
  try {
    await runStatement(server.url, "create database dirmfa_template");
    const url = server.url.replace(/postgres$/, "dirmfa_template");
    const open = await openDatabase(
      { kind: "postgres", url, poolSize: 1 },
      { log: pino({ level: "silent" }), owner: true },
    );
    try {
      await migrateToLatest(open.db);
    } finally {
      await open.close();
    }
    project.provide("postgresUrl", server.url);
    return server.stop;
  } catch (error) {
    await server.stop();
    throw error;
  }
}
