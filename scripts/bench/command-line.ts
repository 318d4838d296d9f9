// A command beside a daemon, from starting the program to its end: `dirmfa user list` with one screen of users. There is no floor: the
// target is a time. The start of node alone is told beside it.

import { type Bench, type BenchResult, type BenchRow, median, seconds, timed } from "./bench.ts";
import { dirmfaArgs } from "./program.ts";
import { openSyncScene, runNode } from "./scene.ts";
import { startServing } from "./serve.ts";

export const commandLine: BenchRow = { name: "command-line", run };

const users = 1_000;
const mostMs = 400;
const runsInARound = 5; // a command is short beside what else a machine does

async function run(bench: Bench): Promise<BenchResult[]> {
  const scene = await openSyncScene(bench, users);
  try {
    await scene.freshDatabase();
    await runNode(bench, [...dirmfaArgs(bench, scene.configFile), "key", "generate"]);
    await scene.sync();
    const serving = await startServing(bench, scene.configFile);
    const samples = { commandMs: [] as number[], nodeMs: [] as number[] };
    const list = () => runNode(bench, [...dirmfaArgs(bench, scene.configFile), "user", "list"]);
    const onlyNode = () => runNode(bench, ["--eval", "0"]);
    try {
      for (let round = 1; round <= bench.rounds; round += 1) {
        bench.say(`A command beside a daemon, round ${round} of ${bench.rounds}`);
        for (let turn = 0; turn < runsInARound; turn += 1) {
          samples.commandMs.push(await timed(list));
          samples.nodeMs.push(await timed(onlyNode));
        }
      }
    } finally {
      await serving.stop();
    }
    const ms = median(samples.commandMs);
    return [
      {
        work: "`dirmfa user list` beside a daemon",
        measured: seconds(ms),
        floor: "–",
        ratio: "–",
        target: "< 0.4 s",
        met: ms < mostMs,
        notes: [`node alone: ${seconds(median(samples.nodeMs))}`],
        samples,
      },
    ];
  } finally {
    await scene.close();
  }
}
