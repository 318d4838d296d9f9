// Sign-in decisions over HTTP beside pgbench running the same statement on the same server. The load comes from a process of
// its own, on the same machine: it costs the daemon time that pgbench's C does not cost the floor.

import { loadConfig } from "../../src/config/load-config.ts";
import { createLog } from "../../src/log.ts";
import { openDatabase } from "../../src/store/database.ts";
import { mfaPolicyOf } from "../../src/users/policy.ts";
import { decideSignIn } from "../../src/verification/decide-sign-in.ts";
import { largeOrganizationUid } from "../../test/support/large-organization.ts";
import { type Bench, type BenchResult, type BenchRow, median, thousands } from "./bench.ts";
import { catchStatements, numberedUsername, pgbenchRate, type Script } from "./pgbench.ts";
import type { SyncScene } from "./scene.ts";
import { load, openLoginScene, startServing } from "./serve.ts";

export const signIn: BenchRow = { name: "sign-in", run };

const users = 10_000;
const clients = 16; // enough to keep both cores busy on either side
const settleSeconds = 3; // pgbench's new connections have read the catalog by then
const seconds = 5;
const leastShare = 0.25;

async function run(bench: Bench): Promise<BenchResult[]> {
  const { scene, url, token } = await openLoginScene(bench, users);
  try {
    const script = await floorScript(scene, url);
    const rates = { http: [] as number[], floor: [] as number[] };
    const serving = await startServing(bench, scene.configFile);
    const time = { settleSeconds, seconds };
    const { address } = serving;
    const signIns = { address, token, work: "sign-in", users, ...time, pace: { clients } } as const;
    try {
      for (let round = 1; round <= bench.rounds; round += 1) {
        bench.say(`Sign-in decisions, round ${round} of ${bench.rounds}`);
        rates.http.push((await load(bench, signIns)).perSecond);
        rates.floor.push(await pgbenchRate(bench, url, script, { clients, ...time }));
      }
    } finally {
      await serving.stop();
    }
    const share = median(rates.http.map((rate, round) => rate / (rates.floor[round] ?? Number.NaN)));
    return [
      {
        work: "sign-in decision, over HTTP",
        measured: `${thousands(Math.round(median(rates.http)))}/s`,
        floor: `${thousands(Math.round(median(rates.floor)))}/s`,
        ratio: `${(share * 100).toFixed(0)} %`,
        target: "≥ 25 %",
        met: share >= leastShare,
        notes: [`floor: pgbench, the same statement, ${clients} clients`],
        samples: { perSecond: rates.http, floorPerSecond: rates.floor },
      },
    ];
  } finally {
    await scene.close();
  }
}

/** The statement that a decision sends, for random users of the directory. */
async function floorScript(scene: SyncScene, url: string): Promise<Script> {
  const config = await loadConfig(scene.configFile, process.env);
  const database = await openDatabase(
    { kind: "postgres", url, poolSize: 1 },
    { log: createLog("silent"), owner: true },
  );
  const { db } = database;
  try {
    const username = largeOrganizationUid(0);
    const deps = { db, policy: mfaPolicyOf(config.mfa) };
    return {
      variables: {},
      begin: [`\\set number random(0, ${users - 1})`],
      statements: await catchStatements(db, () => decideSignIn(deps, { name: { username } })),
      varying: new Map([[username, numberedUsername]]),
    };
  } finally {
    await database.close();
  }
}
