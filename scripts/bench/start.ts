// From starting the program to the daemon that answers, on PostgreSQL. There is no floor: the target is a time.

import { type Bench, type BenchResult, type BenchRow, median, seconds } from "./bench.ts";
import { dirmfaArgs } from "./program.ts";
import { openSyncScene, runNode } from "./scene.ts";
import { startServing } from "./serve.ts";

export const start: BenchRow = { name: "start", run };

const mostMs = 1_000;

async function run(bench: Bench): Promise<BenchResult[]> {
  const scene = await openSyncScene(bench, 10);
  try {
    await scene.freshDatabase();
    await runNode(bench, [...dirmfaArgs(bench, scene.configFile), "key", "generate"]);
    await scene.sync(); // so that the daemon finds nothing overdue
    const startMs: number[] = [];
    for (let round = 1; round <= bench.rounds; round += 1) {
      bench.say(`Start to ready, round ${round} of ${bench.rounds}`);
      startMs.push(await startOnce(bench, scene.configFile));
    }
    return [
      {
        work: "start to ready",
        measured: seconds(median(startMs)),
        floor: "–",
        ratio: "–",
        target: "< 1 s",
        met: median(startMs) < mostMs,
        notes: [],
        samples: { startMs },
      },
    ];
  } finally {
    await scene.close();
  }
}

async function startOnce(bench: Bench, configFile: string): Promise<number> {
  const startedAt = performance.now();
  const serving = await startServing(bench, configFile);
  const ms = performance.now() - startedAt;
  await serving.stop();
  return ms;
}
