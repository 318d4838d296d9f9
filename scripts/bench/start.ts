// From starting the program to the daemon that answers, on PostgreSQL. There is no floor: the target is a time. Run from the
// sources, whose types have to be stripped first; the compiled program starts faster.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { type Bench, type BenchResult, type BenchRow, median, seconds } from "./bench.ts";
import { openSyncScene, runNode } from "./scene.ts";

export const start: BenchRow = { name: "start", run };

const mostMs = 1_000;

async function run(bench: Bench): Promise<BenchResult[]> {
  const scene = await openSyncScene(bench, 10);
  try {
    await scene.freshDatabase();
    await runNode(bench, ["src/main.ts", "--config", scene.configFile, "key", "generate"]);
    await scene.sync(); // so that the daemon finds nothing overdue
    const startMs: number[] = [];
    for (let round = 1; round <= bench.rounds; round += 1) {
      bench.say(`Start to ready, round ${round} of ${bench.rounds}`);
      startMs.push(await startOnce(scene.configFile));
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

async function startOnce(configFile: string): Promise<number> {
  const startedAt = performance.now();
  const daemon = spawn(process.execPath, ["src/main.ts", "--config", configFile, "serve"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(daemon, "exit");
  try {
    for await (const line of createInterface({ input: daemon.stdout })) {
      if (line.includes('"dirmfa is ready"')) return performance.now() - startedAt;
    }
    throw new Error("the daemon ended before it was ready");
  } finally {
    daemon.kill("SIGTERM");
    await ended;
  }
}
