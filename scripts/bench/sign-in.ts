// Sign-in decisions over HTTP beside pgbench with the smallest statement that answers one, on the same server. The load comes from a process of
// its own, on the same machine: it costs the daemon time that pgbench's C does not cost the floor.

import { type Bench, type BenchResult, type BenchRow, median, thousands } from "./bench.ts";
import { openFloorDatabase, pgbenchRate } from "./pgbench.ts";
import { load, openLoginScene, startServing } from "./serve.ts";

export const signIn: BenchRow = { name: "sign-in", run };

const users = 10_000;
const clients = 16; // enough to keep both cores busy on either side
const settleSeconds = 3; // pgbench's new connections have read the catalog by then
const seconds = 5;
const leastShare = 0.5;

async function run(bench: Bench): Promise<BenchResult[]> {
  const { scene, token } = await openLoginScene(bench, users);
  try {
    const floorUrl = await openFloorDatabase(bench, scene, users);
    const rates = { http: [] as number[], floor: [] as number[] };
    const serving = await startServing(bench, scene.configFile);
    const time = { settleSeconds, seconds };
    const { address } = serving;
    const signIns = { address, token, work: "sign-in", users, ...time, pace: { clients } } as const;
    try {
      for (let round = 1; round <= bench.rounds; round += 1) {
        bench.say(`Sign-in decisions, round ${round} of ${bench.rounds}`);
        rates.http.push((await load(bench, signIns)).perSecond);
        rates.floor.push(await pgbenchRate(bench, floorUrl, { work: "sign-in", users, clients, ...time }));
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
        target: "≥ 50 %",
        met: share >= leastShare,
        notes: [`floor: pgbench -M prepared, floors/sign-in.sql, ${clients} clients`],
        samples: { perSecond: rates.http, floorPerSecond: rates.floor },
      },
    ];
  } finally {
    await scene.close();
  }
}
