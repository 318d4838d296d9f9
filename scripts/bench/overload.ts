// What a daemon does with more than it can do: ten times as many backup codes as it can hash, and floods of wrong codes beside right ones. Backup
// codes, since each costs a hash that no machine makes fast: of anything else this machine cannot send ten times as much as a daemon answers.

import { type Bench, type BenchResult, type BenchRow, median, thousands } from "./bench.ts";
import { type EnrolledScene, openEnrolledScene } from "./enrolled-scene.ts";
import type { LoadAnswer } from "./load.ts";
import { type Load, load, startServing } from "./serve.ts";

export const overload: BenchRow = { name: "overload", run };

const users = 40_000;
// Whoever types wrong codes is somebody else: a locked-out user's right code is refused, as it should be.
const rightUsers = 30_000;
const floodUsers = { firstUser: rightUsers, users: users - rightUsers };
const hashingClients = 4; // more than are hashed at once, fewer than wait at most
const mostShedMs = 100;
const floodClients = 64;
const decidedFirst = 20_000;
const time = { settleSeconds: 2, seconds: 4 };
const excess = 10;
const steadyPerSecond = 100; // right codes beside a flood: a busy morning of 100,000 users
const mostTail = 5;

async function run(bench: Bench): Promise<BenchResult[]> {
  const enrolled = await openEnrolledScene(bench, users);
  const serving = await startServing(bench, enrolled.scene.configFile);
  try {
    return [
      await measureExcess(bench, enrolled, serving.address),
      await measureFlood(bench, enrolled, serving.address, "wrong-totp"),
      await measureFlood(bench, enrolled, serving.address, "wrong-backup-code"),
    ];
  } finally {
    await serving.stop();
    await enrolled.scene.close();
  }
}

async function rightCodes(
  bench: Bench,
  { token, forget }: EnrolledScene,
  address: string,
  pace: Load["pace"],
): Promise<LoadAnswer> {
  await forget();
  const right = { address, token, work: "verification", users: rightUsers, decidedFirst } as const;
  return load(bench, { ...right, ...time, pace, refusalsCount: true });
}

async function measureExcess(
  bench: Bench,
  { token, forget }: EnrolledScene,
  address: string,
): Promise<BenchResult> {
  // Wrong ones cost the same as right ones. Of so many users none is locked out before the end.
  const codes = { address, token, work: "wrong-backup-code", users, ...time, refusalsCount: true } as const;
  bench.say("Backup codes, as many as can be hashed");
  await forget();
  const quiet = lookedAt(await load(bench, { ...codes, pace: { clients: hashingClients } }));
  bench.say(`${excess} times as many`);
  await forget();
  const flooded = await load(bench, { ...codes, pace: { perSecond: quiet.perSecond * excess } });
  const judged = lookedAt(flooded);
  const { "429": shed, "403": _judged, ...other } = flooded.refused;
  const lost = Object.values(other).reduce((sum, { count }) => sum + count, 0);
  return {
    work: `${excess} times as many backup codes as can be hashed`,
    measured: `${Math.round(judged.perSecond)}/s judged, p99 ${judged.p99Ms.toFixed(0)} ms`,
    floor: `${Math.round(quiet.perSecond)}/s, p99 ${quiet.p99Ms.toFixed(0)} ms`,
    ratio: `${thousands(shed?.count ?? 0)} shed, p99 ${shed?.latencyMs.p99.toFixed(1) ?? "–"} ms, ${lost} lost`,
    target: "shed in milliseconds, none lost",
    met: shed?.allWithRetryAfter === true && shed.latencyMs.p99 < mostShedMs && lost === 0,
    notes: [`as many as can be hashed: by ${hashingClients} clients, one after the other`],
    samples: {
      perSecond: [quiet.perSecond, judged.perSecond],
      p99Ms: [quiet.p99Ms, judged.p99Ms],
      shedP50Ms: [shed?.latencyMs.p50 ?? Number.NaN],
      shedP99Ms: [shed?.latencyMs.p99 ?? Number.NaN],
      lost: [lost],
    },
  };
}

/** The wrong codes that were looked at. */
function lookedAt({ refused }: LoadAnswer): { perSecond: number; p99Ms: number } {
  const judged = refused["403"];
  if (judged === undefined) throw new Error(`no code was looked at: ${JSON.stringify(refused)}`);
  return { perSecond: judged.count / time.seconds, p99Ms: judged.latencyMs.p99 };
}

async function measureFlood(
  bench: Bench,
  enrolled: EnrolledScene,
  address: string,
  work: "wrong-totp" | "wrong-backup-code",
): Promise<BenchResult> {
  const samples = {
    quietP99Ms: [] as number[],
    floodedP99Ms: [] as number[],
    floodPerSecond: [] as number[],
  };
  let refused = 0;
  const pace = { perSecond: steadyPerSecond };
  for (let round = 1; round <= bench.rounds; round += 1) {
    bench.say(`Right codes beside a flood of ${work}, round ${round} of ${bench.rounds}`);
    const quiet = await rightCodes(bench, enrolled, address, pace);
    const { token } = enrolled;
    const flood = { address, token, work, ...floodUsers, ...time, refusalsCount: true } as const;
    // The right codes are made and their decisions asked while the flood settles.
    const flooding = load(bench, { ...flood, seconds: time.seconds * 5, pace: { clients: floodClients } });
    const flooded = await rightCodes(bench, enrolled, address, pace);
    const { refused: wrong } = await flooding;
    samples.quietP99Ms.push(quiet.latencyMs.p99);
    samples.floodedP99Ms.push(flooded.latencyMs.p99);
    const answers = Object.values(wrong).reduce((sum, { count }) => sum + count, 0);
    samples.floodPerSecond.push(answers / (time.seconds * 5));
    refused += Object.values(flooded.refused).reduce((sum, { count }) => sum + count, 0);
  }
  const ratio = median(
    samples.floodedP99Ms.map((ms, round) => ms / (samples.quietP99Ms[round] ?? Number.NaN)),
  );
  return {
    work: `p99 of right TOTP codes beside a flood of ${work === "wrong-totp" ? "wrong ones" : "wrong backup codes"}`,
    measured: `${median(samples.floodedP99Ms).toFixed(1)} ms`,
    floor: `quiet ${median(samples.quietP99Ms).toFixed(1)} ms`,
    ratio: `${ratio.toFixed(1)} ×`,
    target: `≤ ${mostTail} ×, none refused`,
    met: ratio <= mostTail && refused === 0,
    notes: [
      `${steadyPerSecond} right codes a second beside ${floodClients} clients with wrong ones, ` +
        `${thousands(Math.round(median(samples.floodPerSecond)))}/s; ${refused} right codes refused`,
    ],
    samples: { ...samples, refused: [refused] },
  };
}
