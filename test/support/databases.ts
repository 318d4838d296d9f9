// Fresh, migrated databases for tests, of the engine that the vitest project names.

import { randomBytes } from "node:crypto";
import { pino } from "pino";
import { inject } from "vitest";
import type { DatabaseConfig } from "../../src/config/config.ts";
import { type OpenDatabase, openDatabase } from "../../src/store/database.ts";
import { runStatement } from "./postgres.ts";

export type TestDatabase = OpenDatabase & { config: DatabaseConfig };

/** Empty tables, nobody else in it; dropped on close. Cheap enough for one a test file, dear for one a test. */
export async function openTestDatabase(): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString("hex")}`;
  const serverUrl = inject("postgresUrl");
  await runStatement(serverUrl, `create database ${name} template dirmfa_template`);
  const config: DatabaseConfig = {
    kind: "postgres",
    url: serverUrl.replace(/postgres$/, name),
    poolSize: 10,
  };
  const open = await openDatabase(config, { log: pino({ level: "silent" }), owner: true });
  return {
    ...open,
    config,
    close: async () => {
      await open.close();
      await runStatement(serverUrl, `drop database ${name} with (force)`);
    },
  };
}
