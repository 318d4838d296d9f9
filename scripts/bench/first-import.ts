// The first import of a large directory beside its floor: ldapsearch reading the same, then COPY of the same rows into a
// table with the same columns, constraints and indexes.

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Bench, type BenchRow, compareTimes, median, seconds, thousands, timed } from "./bench.ts";
import { openSyncScene } from "./scene.ts";

export const firstImport: BenchRow = { name: "first-import", run };

async function run(bench: Bench) {
  const scene = await openSyncScene(bench, bench.users);
  const rows = join(bench.folder, "users.copy");
  try {
    const samples = { work: [] as number[], floor: [] as number[] };
    const searches: number[] = [];
    for (let round = 1; round <= bench.rounds; round += 1) {
      bench.say(`First import, round ${round} of ${bench.rounds}`);
      await scene.freshDatabase();
      const imported = await scene.sync();
      if (imported.counts?.added !== bench.users) {
        throw new Error(`${imported.counts?.added} users added, not ${bench.users}`);
      }
      samples.work.push(imported.ms);

      await scene.psql(`\\copy users to '${rows}'`);
      await scene.psql("create table floor_users (like users including all)");
      await scene.psql("checkpoint");
      const search = await timed(() => scene.search({ paged: true }));
      searches.push(search);
      samples.floor.push(search + (await timed(() => scene.psql(`\\copy floor_users from '${rows}'`))));
    }
    const searchMs = median(searches);
    return [
      compareTimes(`first import of ${thousands(bench.users)} users`, 1.5, samples, [
        `floor: ldapsearch ${seconds(searchMs)}, then \\copy ${seconds(median(samples.floor) - searchMs)}`,
        `${thousands(Math.round(bench.users / (median(samples.work) / 1000)))} users a second`,
      ]),
    ];
  } finally {
    await scene.close();
    await rm(rows, { force: true });
  }
}
