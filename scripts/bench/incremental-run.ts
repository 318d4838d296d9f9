// An incremental run after 100 changes, in a large directory and in one of a tenth of its size: the cost follows what changed, so that
// the floor of the one is the other.

import { largeOrganizationUid } from "../servers/large-organization.ts";
import { type Bench, type BenchResult, type BenchRow, compareTimes, thousands } from "./bench.ts";
import { openSyncScene } from "./scene.ts";

export const incrementalRun: BenchRow = { name: "incremental-run", run };

const changed = 100;
const smaller = 10;
const membersAGroup = 100;
// Independent of the size, but for the deeper indexes and the noise of a run that takes a fraction of a second.
const mostTimesSmaller = 1.3;

async function run(bench: Bench): Promise<BenchResult[]> {
  const fewer = Math.ceil(bench.users / smaller);
  const floor = await measure(bench, fewer);
  const work = await measure(bench, bench.users);
  return [
    compareTimes(`incremental run, ${changed} changes`, mostTimesSmaller, { work, floor }, [
      `${thousands(bench.users)} users; the floor is the same at ${thousands(fewer)}`,
    ]),
  ];
}

async function measure(bench: Bench, users: number): Promise<number[]> {
  const scene = await openSyncScene(bench, users, { groups: Math.ceil(users / membersAGroup) });
  const samples: number[] = [];
  try {
    await scene.freshDatabase();
    const syncing = scene.startSyncing();
    await syncing.sync();
    await scene.psql("vacuum (analyze)"); // as for unchanged-run
    for (let round = 1; round <= bench.rounds; round += 1) {
      bench.say(`${changed} changes of ${thousands(users)}, round ${round} of ${bench.rounds}`);
      await scene.slapd.modify(changesOfMail(round, changed, scene.slapd.suffix));
      const { ms, kind, counts } = await syncing.sync("incremental");
      if (kind !== "incremental" || counts?.changed !== changed)
        throw new Error(`a ${kind} run changed ${counts?.changed}, not ${changed}`);
      samples.push(ms);
    }
    await syncing.close();
  } finally {
    await scene.close();
  }
  return samples;
}

/** Change records that give `count` users an address of this round. */
export function changesOfMail(round: number, count: number, suffix: string): string {
  const records = Array.from({ length: count }, (_, number) => {
    const dn = `uid=${largeOrganizationUid(number)},ou=people,${suffix}`;
    return `dn: ${dn}\nchangetype: modify\nreplace: mail\nmail: moved${round}.${number}@example.org\n-\n\n`;
  });
  return records.join("");
}
