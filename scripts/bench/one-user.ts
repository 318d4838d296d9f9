// A sign-in of somebody who was hired a moment ago: dirmfa asks the directory for that one user and stores them before it answers.
// The floor is ldapsearch for that user, a new process each time, as it is for whoever has no daemon.

import { setTimeout as sleep } from "node:timers/promises";
import { largeOrganizationEntry, largeOrganizationUid } from "../servers/large-organization.ts";
import {
  type Bench,
  type BenchResult,
  type BenchRow,
  compareTimes,
  median,
  thousands,
  timed,
} from "./bench.ts";
import { openLoginScene, startServing } from "./serve.ts";

export const oneUser: BenchRow = { name: "one-user", run };

// A round is some hundredths of a second; a minute has no more questions than `onDemand.perMinute` allows by default.
const hiredARound = 8;
const mostTimesFloor = 3;
const mostMs = 50;

async function run(bench: Bench): Promise<BenchResult[]> {
  const { scene, token } = await openLoginScene(bench, bench.users);
  const samples = { work: [] as number[], floor: [] as number[] };
  try {
    const serving = await startServing(bench, scene.configFile);
    const signIn = async (username: string): Promise<string> => {
      const answer = await fetch(`${serving.address}/v1/sign-in`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify({ username }),
      });
      return answer.text();
    };
    try {
      for (let round = 0; round <= bench.rounds; round += 1) {
        bench.say(`One user on demand, round ${round} of ${bench.rounds}`);
        for (let one = 0; one < hiredARound; one += 1) {
          const number = bench.users + round * hiredARound + one;
          await scene.slapd.add(largeOrganizationEntry(number, scene.slapd.suffix));
          const uid = largeOrganizationUid(number);
          const floor = await timed(() => scene.search({ paged: false, filter: `(uid=${uid})` }));
          let answer = "";
          const work = await timed(async () => {
            answer = await signIn(uid);
          });
          if (!answer.includes(`"username":"${uid}"`)) throw new Error(`${uid} is not known: ${answer}`);
          if (round === 0) continue; // starts the reader's thread, which is kept
          samples.floor.push(floor);
          samples.work.push(work);
        }
        await sleep(1_000); // what a minute may ask comes back with the time
      }
    } finally {
      await serving.stop();
    }
  } finally {
    await scene.close();
  }
  const result = compareTimes("one user on demand, at a sign-in over HTTP", mostTimesFloor, samples, [
    `${samples.work.length} users who were hired, one after the other, in a directory of ${thousands(bench.users)}`,
  ]);
  const medianMs = median(samples.work);
  return [
    {
      ...result,
      measured: `${medianMs.toFixed(1)} ms`,
      floor: `${median(samples.floor).toFixed(1)} ms`,
      target: `≤ ${mostTimesFloor} ×, < ${mostMs} ms`,
      met: result.met && medianMs < mostMs,
    },
  ];
}
