// Verifications over HTTP beside pgbench with the smallest transaction that is right, on the same server, and how late the slowest answers are
// at half of the rate that was reached. Every code is right and new: what is measured is accepting, with its way to the disk.

import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../../src/store/database.ts";
import { type Bench, type BenchResult, type BenchRow, median, thousands } from "./bench.ts";
import { type EnrolledScene, openEnrolledScene } from "./enrolled-scene.ts";
import { forgetFloorSteps, openFloorDatabase, pgbenchRate } from "./pgbench.ts";
import { type Load, load, startServing } from "./serve.ts";

export const verification: BenchRow = { name: "verification", run };

// Each gives one code a run: enough for 5,000 verifications a second. With more of them a run is shorter.
const users = 40_000;
const clients = 16; // as for sign-in decisions; divides the users, so that each user stays with one client of pgbench
const decidedFirst = 20_000; // as many as a daemon remembers, and more than a run needs
const settleSeconds = 3; // pgbench's new connections have read the catalog by then
const rateSeconds = 5;
const paceSeconds = 10; // at half the rate: as many requests again, for the percentile
const leastShare = 0.6;
const mostTail = 10;

interface Samples {
  http: number[];
  floor: number[];
  meanMs: number[];
  p99Ms: number[];
}

async function run(bench: Bench): Promise<BenchResult[]> {
  const enrolled = await openEnrolledScene(bench, users);
  try {
    const floorUrl = await openFloorDatabase(bench, enrolled.scene, users);
    return resultsOf(await measure(bench, enrolled, floorUrl));
  } finally {
    await enrolled.scene.close();
  }
}

async function measure(
  bench: Bench,
  { scene, token, inDatabase, forget }: EnrolledScene,
  floorUrl: string,
): Promise<Samples> {
  const samples: Samples = { http: [], floor: [], meanMs: [], p99Ms: [] };
  const floorLoad = { work: "verification", users, clients, settleSeconds, seconds: rateSeconds } as const;
  const serving = await startServing(bench, scene.configFile);
  const verify = async (seconds: number, pace: Load["pace"]) => {
    await forget();
    const verifications = { address: serving.address, token, work: "verification", users } as const;
    return load(bench, { ...verifications, decidedFirst, settleSeconds, seconds, pace });
  };
  try {
    for (let round = 1; round <= bench.rounds; round += 1) {
      bench.say(`Verifications, round ${round} of ${bench.rounds}`);
      const { perSecond } = await verify(rateSeconds, { clients });
      const { latencyMs } = await verify(paceSeconds, { perSecond: perSecond / 2 });
      await inDatabase(({ db }) => untilSealed(db));
      await forgetFloorSteps(bench, floorUrl);
      samples.floor.push(await pgbenchRate(bench, floorUrl, floorLoad));
      samples.http.push(perSecond);
      samples.meanMs.push(latencyMs.mean);
      samples.p99Ms.push(latencyMs.p99);
    }
  } finally {
    await serving.stop();
  }
  await inDatabase(({ db }) => requireAllAccepted(db));
  return samples;
}

function resultsOf({ http, floor, meanMs, p99Ms }: Samples): BenchResult[] {
  const share = median(http.map((rate, round) => rate / (floor[round] ?? Number.NaN)));
  const tail = median(p99Ms.map((ms, round) => ms / (meanMs[round] ?? Number.NaN)));
  return [
    {
      work: "verification, over HTTP",
      measured: `${thousands(Math.round(median(http)))}/s`,
      floor: `${thousands(Math.round(median(floor)))}/s`,
      ratio: `${(share * 100).toFixed(0)} %`,
      target: "≥ 60 %",
      met: share >= leastShare,
      notes: [
        `floor: pgbench -M prepared, floors/verification.sql, ${clients} clients`,
        "each user's decision was asked before the code, uncounted, as at every sign-in",
      ],
      samples: { perSecond: http, floorPerSecond: floor },
    },
    {
      work: "slowest 1 % of verifications, at half that rate",
      measured: `${median(p99Ms).toFixed(1)} ms`,
      floor: `mean ${median(meanMs).toFixed(1)} ms`,
      ratio: `${tail.toFixed(1)} ×`,
      target: "< 10 ×",
      met: tail < mostTail,
      notes: ["from the moment a request was due"],
      samples: { p99Ms, meanMs },
    },
  ];
}

/** Until the daemon has nothing left to do for the verifications before. */
async function untilSealed(db: Database): Promise<void> {
  const sql = `select (select max(id) from audit_events) > (select max(event_id) from audit_seals) as waiting`;
  while ((await db.raw(sql)).rows[0].waiting) await sleep(200); // it seals every 2 s
}

async function requireAllAccepted(db: Database): Promise<void> {
  const { rows } = await db.raw(
    "select outcome, count(*) from audit_events where action = 'verification' group by outcome",
  );
  if (rows.length === 1 && rows[0].outcome === "accepted") return;
  throw new Error(`not all verifications were accepted: ${JSON.stringify(rows)}`);
}
