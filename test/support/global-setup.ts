// Runs once a vitest project, before its first test: installs the servers that are missing and makes the migrated template
// that every test database is a copy of.

import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import type { TestProject } from "vitest/node";
import { ensureServers, type ServerName } from "../../scripts/servers/install-servers.ts";
import { memoryFolder, runStatement, startPostgres } from "../../scripts/servers/postgres.ts";
import type { DatabaseConfig } from "../../src/config/config.ts";
import { openDatabase } from "../../src/store/database.ts";
import { migrateToLatest } from "../../src/store/migrate.ts";

declare module "vitest" {
  export interface ProvidedContext {
    engine: "postgres" | "embedded";
    /** What the project's tests start. */
    servers: ServerName[];
    /** Of the server's database `postgres`; project `postgres` only. */
    postgresUrl: string;
    /** Folder of a migrated embedded database; project `embedded` only. */
    embeddedTemplate: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await ensureServers(project.config.provide.servers ?? []);
  return project.config.provide.engine === "embedded"
    ? await setUpEmbedded(project)
    : await setUpPostgres(project);
}

async function setUpPostgres(project: TestProject): Promise<() => Promise<void>> {
  const server = await startPostgres();
  try {
    await runStatement(server.url, "create database dirmfa_template");
    await migrate({ kind: "postgres", url: server.url.replace(/postgres$/, "dirmfa_template"), poolSize: 1 });
    project.provide("postgresUrl", server.url);
    return server.stop;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function setUpEmbedded(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(await memoryFolder(), "dirmfa-template-"));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    await migrate({ kind: "embedded", folder });
    project.provide("embeddedTemplate", folder);
    return remove;
  } catch (error) {
    await remove();
    throw error;
  }
}

async function migrate(config: DatabaseConfig): Promise<void> {
  const open = await openDatabase(config, { log: pino({ level: "silent" }), owner: true });
  try {
    await migrateToLatest(open.db);
  } finally {
    await open.close();
  }
}
