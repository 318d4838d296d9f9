// Verifications and sign-in decisions at 1, 8, 64 and 512 connections: rates, latencies and answers that were no 200. The curve is a plain
// result, for whoever draws it.

import { type Bench, type BenchResult, type BenchRow, thousands } from "./bench.ts";
import { type EnrolledScene, openEnrolledScene } from "./enrolled-scene.ts";
import { load, startServing } from "./serve.ts";

export const connections: BenchRow = {
  name: "connections",
  async run(bench) {
    const points = await measureConnections(bench);
    return points.map(resultOf);
  },
};

export interface ConnectionPoint {
  work: "verification" | "sign-in";
  connections: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** Answers that were not 200, and connections that broke. */
  errors: number;
}

const counts = [1, 8, 64, 512];
const users = 40_000; // a code each a run, as in the row of verifications
const decidedFirst = 20_000;
const time = { settleSeconds: 2, seconds: 4 };

/** Each count once, for both kinds of work, one after the other. */
export async function measureConnections(bench: Bench): Promise<ConnectionPoint[]> {
  const enrolled = await openEnrolledScene(bench, users);
  try {
    return await measure(bench, enrolled);
  } finally {
    await enrolled.scene.close();
  }
}

async function measure(bench: Bench, { scene, token, forget }: EnrolledScene): Promise<ConnectionPoint[]> {
  const { address, stop } = await startServing(bench, scene.configFile);
  const points: ConnectionPoint[] = [];
  try {
    for (const work of ["verification", "sign-in"] as const) {
      for (const count of counts) {
        bench.say(`${work}, ${count} connections`);
        await forget();
        const asked = work === "verification" ? { decidedFirst } : {};
        const pace = { clients: count };
        const answer = await load(bench, {
          ...{ address, token, work, users, pace, refusalsCount: true, ...time, ...asked },
        });
        points.push({
          ...{ work, connections: count, perSecond: answer.perSecond },
          ...{ p50Ms: answer.latencyMs.p50, p99Ms: answer.latencyMs.p99 },
          errors: Object.values(answer.refused).reduce((sum, refused) => sum + refused.count, 0),
        });
      }
    }
    return points;
  } finally {
    await stop();
  }
}

function resultOf({
  work,
  connections: count,
  perSecond,
  p50Ms,
  p99Ms,
  errors,
}: ConnectionPoint): BenchResult {
  return {
    work: `${work}, ${count} connection${count === 1 ? "" : "s"}`,
    measured: `${thousands(Math.round(perSecond))}/s`,
    floor: `p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`,
    ratio: `${errors} errors`,
    target: "no errors",
    met: errors === 0,
    notes: [],
    samples: { perSecond: [perSecond], p50Ms: [p50Ms], p99Ms: [p99Ms], errors: [errors] },
  };
}
