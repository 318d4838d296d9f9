// The same load on one daemon and on three of them, on one PostgreSQL. Everything shares the machine's processors: more daemons give more only where
// the one was at the end of its core and another one is free. So it is measured a second time with a small part of a core for
// each daemon, as on machines of their own beside a database that has room.

import { type Bench, type BenchResult, type BenchRow, median, thousands } from "./bench.ts";
import { type EnrolledScene, openEnrolledScene } from "./enrolled-scene.ts";
import { openProcessorShare, type ProcessorShare } from "./processor-share.ts";
import { load, type Serving, startServing } from "./serve.ts";

export const threeDaemons: BenchRow = { name: "three-daemons", run };

const users = 40_000;
const clients = 48; // sixteen for each of the three
const decidedFirst = 20_000;
const time = { settleSeconds: 2, seconds: 4 };

// A daemon that may use all of a core uses four fifths of it, and PostgreSQL about as much.
const share = 0.15;

async function run(bench: Bench): Promise<BenchResult[]> {
  const enrolled = await openEnrolledScene(bench, users);
  const daemons: Serving[] = [];
  const shares: ProcessorShare[] = [];
  try {
    for (let count = 0; count < 3; count += 1)
      daemons.push(await startServing(bench, enrolled.scene.configFile));
    const scene = { enrolled, addresses: daemons.map(({ address }) => address) };
    const results = [
      await measure(bench, scene, "verification", "three daemons"),
      await measure(bench, scene, "sign-in", "three daemons"),
    ];
    for (const { pid } of daemons) {
      const limited = await openProcessorShare(`dirmfa-bench-${pid}`, share);
      if (!limited) {
        bench.say("No control groups here: the daemons cannot be given a part of a core each");
        return results;
      }
      shares.push(limited);
      await limited.limit(pid);
    }
    const through = `three daemons with ${share} of a core each`;
    results.push(await measure(bench, scene, "verification", through));
    results.push(await measure(bench, scene, "sign-in", through));
    return results;
  } finally {
    for (const { stop } of daemons) await stop();
    for (const { remove } of shares) await remove();
    await enrolled.scene.close();
  }
}

async function measure(
  bench: Bench,
  { enrolled, addresses }: { enrolled: EnrolledScene; addresses: readonly string[] },
  work: "verification" | "sign-in",
  through: string,
): Promise<BenchResult> {
  const { token, forget } = enrolled;
  const samples = { one: [] as number[], three: [] as number[] };
  const rate = async (of: readonly string[]) => {
    await forget();
    const address = of.join(",");
    const asked = work === "verification" ? { decidedFirst } : {};
    return (await load(bench, { address, token, work, users, ...time, ...asked, pace: { clients } }))
      .perSecond;
  };
  for (let round = 1; round <= bench.rounds; round += 1) {
    bench.say(`${work} through one and through ${through}, round ${round} of ${bench.rounds}`);
    samples.one.push(await rate(addresses.slice(0, 1)));
    samples.three.push(await rate(addresses));
  }
  const ratio = median(samples.three.map((three, round) => three / (samples.one[round] ?? Number.NaN)));
  return {
    work: `${work}, through ${through}`,
    measured: `${thousands(Math.round(median(samples.three)))}/s`,
    floor: `one of them ${thousands(Math.round(median(samples.one)))}/s`,
    ratio: `${ratio.toFixed(2)} ×`,
    target: "> 1 ×",
    met: ratio > 1,
    notes: [`${clients} clients in both`],
    samples: { onePerSecond: samples.one, threePerSecond: samples.three },
  };
}
