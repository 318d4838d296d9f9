// Full runs over a directory that is already stored: nothing changed, with the proof that no user row was written; then
// some changed, hired and gone, with exact counts. All by one process that has run before, as a daemon has. The floor of both
// is ldapsearch alone.

import { largeOrganizationEntry, largeOrganizationUid } from "../servers/large-organization.ts";
import { type Bench, type BenchResult, type BenchRow, compareTimes, thousands, timed } from "./bench.ts";
import { openSyncScene, type Syncing, type SyncScene } from "./scene.ts";

export const unchangedRun: BenchRow = { name: "unchanged-run", run };

const changed = 100;
const hired = 50;
const gone = 50;

async function run(bench: Bench): Promise<BenchResult[]> {
  const scene = await openSyncScene(bench, bench.users);
  let syncing: Syncing | undefined;
  try {
    await scene.freshDatabase();
    syncing = scene.startSyncing();
    await syncing.sync();
    await scene.psql("vacuum (analyze)"); // hint bits of a first import are written by whoever reads first; not by a run
    return [await nothingChanged(bench, scene, syncing), await someChanged(bench, scene, syncing)];
  } finally {
    await syncing?.close();
    await scene.close();
  }
}

async function nothingChanged(bench: Bench, scene: SyncScene, syncing: Syncing): Promise<BenchResult> {
  const samples = { work: [] as number[], floor: [] as number[] };
  const before = await usersFingerprint(scene);
  for (let round = 1; round <= bench.rounds; round += 1) {
    bench.say(`Nothing changed, round ${round} of ${bench.rounds}`);
    samples.floor.push(await timed(() => scene.search({ paged: true })));
    const { ms, counts } = await syncing.sync();
    if (counts?.unchanged !== bench.users)
      throw new Error(`${counts?.unchanged} unchanged, not ${bench.users}`);
    samples.work.push(ms);
  }
  const untouched = before === (await usersFingerprint(scene));
  const result = compareTimes("full run, nothing changed", 1.5, samples, [
    untouched ? "no user row written: every xmin and ctid as before" : "USER ROWS WERE WRITTEN",
  ]);
  return { ...result, met: result.met && untouched };
}

async function someChanged(bench: Bench, scene: SyncScene, syncing: Syncing): Promise<BenchResult> {
  const samples = { work: [] as number[], floor: [] as number[] };
  for (let round = 1; round <= bench.rounds; round += 1) {
    bench.say(`Some changed, round ${round} of ${bench.rounds}`);
    await scene.slapd.modify(changesOf(round, bench.users, scene.slapd.suffix));
    samples.floor.push(await timed(() => scene.search({ paged: true })));
    const { ms, counts } = await syncing.sync();
    const found = `${counts?.changed} changed, ${counts?.added} hired, ${counts?.removed} gone`;
    const wanted = `${changed} changed, ${hired} hired, ${gone} gone`;
    if (found !== wanted) throw new Error(`the run saw ${found}, not ${wanted}`);
    samples.work.push(ms);
  }
  return compareTimes(`full run, ${changed} changed, ${hired} hired, ${gone} gone`, 1.5, samples, [
    `exactly these ${thousands(changed + hired + gone)} in each of ${bench.rounds} rounds`,
  ]);
}

/** The physical identity of every user row: another xmin or ctid means that a row was written. */
async function usersFingerprint(scene: SyncScene): Promise<string> {
  const row = await scene.queryRow(
    `select count(*) as users, md5(string_agg(id::text || xmin::text || ctid::text, ',' order by id)) as digest from users`,
  );
  return `${row.users} ${row.digest}`;
}

// Every round takes other users, from the front for changes and from the back for those who go.
function changesOf(round: number, users: number, suffix: string): string {
  const dn = (number: number) => `uid=${largeOrganizationUid(number)},ou=people,${suffix}`;
  const records: string[] = [];
  for (let index = 0; index < changed; index += 1) {
    const number = (round - 1) * changed + index;
    records.push(
      `dn: ${dn(number)}\nchangetype: modify\nreplace: mail\nmail: moved${round}.${number}@example.org\n-\n\n`,
    );
  }
  for (let index = 0; index < hired; index += 1) {
    const entry = largeOrganizationEntry(users + (round - 1) * hired + index, suffix);
    records.push(entry.replace("\n", "\nchangetype: add\n"));
  }
  for (let index = 0; index < gone; index += 1) {
    records.push(`dn: ${dn(users - 1 - (round - 1) * gone - index)}\nchangetype: delete\n\n`);
  }
  return records.join("");
}
