// The same load on one daemon and on three of them, on one PostgreSQL. Everything shares the machine's processors: more daemons give more only where
// the one was at the end of its core and another one is free.

import { type Bench, type BenchResult, type BenchRow, median, thousands } from "./bench.ts";
import { type EnrolledScene, openEnrolledScene } from "./enrolled-scene.ts";
import { load, type Serving, startServing } from "./serve.ts";

export const threeDaemons: BenchRow = { name: "three-daemons", run };

const users = 40_000;
const clients = 48; // sixteen for each of the three
const decidedFirst = 20_000;
const time = { settleSeconds: 2, seconds: 4 };

async function run(bench: Bench): Promise<BenchResult[]> {
  const enrolled = await openEnrolledScene(bench, users);
  const daemons: Serving[] = [];
  try {
    for (let count = 0; count < 3; count += 1)
      daemons.push(await startServing(bench, enrolled.scene.configFile));
    const addresses = daemons.map(({ address }) => address);
    return [
      await measure(bench, enrolled, addresses, "verification"),
      await measure(bench, enrolled, addresses, "sign-in"),
    ];
  } finally {
    for (const { stop } of daemons) await stop();
    await enrolled.scene.close();
  }
}

async function measure(
  bench: Bench,
  { token, forget }: EnrolledScene,
  addresses: readonly string[],
  work: "verification" | "sign-in",
): Promise<BenchResult> {
  const samples = { one: [] as number[], three: [] as number[] };
  const rate = async (of: readonly string[]) => {
    await forget();
    const address = of.join(",");
    const asked = work === "verification" ? { decidedFirst } : {};
    return (await load(bench, { address, token, work, users, ...time, ...asked, pace: { clients } }))
      .perSecond;
  };
  for (let round = 1; round <= bench.rounds; round += 1) {
    bench.say(`${work} through one and through three daemons, round ${round} of ${bench.rounds}`);
    samples.one.push(await rate(addresses.slice(0, 1)));
    samples.three.push(await rate(addresses));
  }
  const ratio = median(samples.three.map((three, round) => three / (samples.one[round] ?? Number.NaN)));
  return {
    work: `${work}, through three daemons`,
    measured: `${thousands(Math.round(median(samples.three)))}/s`,
    floor: `one daemon ${thousands(Math.round(median(samples.one)))}/s`,
    ratio: `${ratio.toFixed(2)} ×`,
    target: "> 1 ×",
    met: ratio > 1,
    notes: [`${clients} clients in both`],
    samples: { onePerSecond: samples.one, threePerSecond: samples.three },
  };
}
