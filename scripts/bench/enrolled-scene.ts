// The scene of the rows that type codes: a login service's, with every user enrolled.

import { loadConfig } from "../../src/config/load-config.ts";
import { createLog } from "../../src/log.ts";
import { openSealingKeys, type SealingKeys } from "../../src/sealing/sealing-keys.ts";
import { type Database, openDatabase } from "../../src/store/database.ts";
import { runStatement } from "../servers/postgres.ts";
import type { Bench } from "./bench.ts";
import { enrollUsers, forgetSteps } from "./enrolled-users.ts";
import type { SyncScene } from "./scene.ts";
import { openLoginScene } from "./serve.ts";

export interface EnrolledScene {
  scene: SyncScene;
  url: string;
  token: string;
  inDatabase<Answer>(work: (stored: { db: Database; keys: SealingKeys }) => Promise<Answer>): Promise<Answer>;
  /** All codes are good again, and nobody is locked out. */
  forget(): Promise<void>;
}

export async function openEnrolledScene(bench: Bench, users: number): Promise<EnrolledScene> {
  const { scene, url, token } = await openLoginScene(bench, users);
  const inDatabase: EnrolledScene["inDatabase"] = async (work) => {
    const { keys } = await loadConfig(scene.configFile, process.env);
    const log = createLog("silent");
    const database = await openDatabase({ kind: "postgres", url, poolSize: 1 }, { log, owner: true });
    const { db } = database;
    try {
      return await work({ db, keys: await openSealingKeys({ db, folder: keys.folder, log }) });
    } finally {
      await database.close();
    }
  };
  try {
    bench.say(`Enrolling ${users} users`);
    await inDatabase(({ db, keys }) => enrollUsers(db, keys.active(), token));
    await runStatement(url, "vacuum analyze");
  } catch (error) {
    await scene.close();
    throw error;
  }
  return { scene, url, token, inDatabase, forget: () => inDatabase(({ db }) => forgetSteps(db)) };
}
