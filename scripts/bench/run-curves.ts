// How long runs take at directories of several sizes: the first import, a run in which nothing changed, one after a change of one
// group, an incremental one after 100 changes, and ldapsearch beside them. One user in a hundred is a group of a hundred.

import { largeOrganizationUid } from "../servers/large-organization.ts";
import { type Bench, median, thousands, timed } from "./bench.ts";
import { changesOfMail } from "./incremental-run.ts";
import { openSyncScene, type Syncing, type SyncScene } from "./scene.ts";

export interface RunTimes {
  users: number;
  /** Medians of the rounds in milliseconds, by the name of the work. */
  ms: Record<string, number>;
}

const membersAGroup = 100;
const changed = 100;
// An import of a million takes minutes; more than one of it shows nothing new.
const mostUsersImportedAgain = 100_000;

export async function measureRuns(bench: Bench, users: number): Promise<RunTimes> {
  const scene = await openSyncScene(bench, users, { groups: Math.ceil(users / membersAGroup) });
  const samples: Record<string, number[]> = {};
  const note = (work: string, ms: number) => {
    samples[work] = [...(samples[work] ?? []), ms];
    bench.say(`${thousands(users)} users, ${work}: ${Math.round(ms)} ms`);
  };
  try {
    const imports = users > mostUsersImportedAgain ? 0 : bench.rounds - 1;
    for (let round = 0; round < imports; round += 1) {
      await scene.freshDatabase();
      note("first import", (await scene.sync()).ms);
    }
    await scene.freshDatabase();
    const syncing = scene.startSyncing();
    try {
      note("first import", (await syncing.sync()).ms);
      await scene.psql("vacuum (analyze)"); // as for unchanged-run
      await syncing.sync(); // the statements and files of a run are warm from here on
      for (let round = 1; round <= bench.rounds; round += 1)
        await measureRound(scene, { syncing, round, users, note });
    } finally {
      await syncing.close();
    }
  } finally {
    await scene.close();
  }
  return { users, ms: Object.fromEntries(Object.entries(samples).map(([work, ms]) => [work, median(ms)])) };
}

async function measureRound(
  scene: SyncScene,
  by: { syncing: Syncing; round: number; users: number; note(work: string, ms: number): void },
): Promise<void> {
  const { syncing, round, users, note } = by;
  note("ldapsearch", await timed(() => scene.search({ paged: true })));
  const unchanged = await syncing.sync();
  if (unchanged.counts?.unchanged !== users)
    throw new Error(`${unchanged.counts?.unchanged} unchanged, not ${users}`);
  note("nothing changed", unchanged.ms);
  await scene.slapd.modify(changesOfMail(round, changed, scene.slapd.suffix));
  const incremental = await syncing.sync("incremental");
  if (incremental.kind !== "incremental" || incremental.counts?.changed !== changed)
    throw new Error(`a ${incremental.kind} run changed ${incremental.counts?.changed}, not ${changed}`);
  note("incremental, 100 changes", incremental.ms);
  await scene.slapd.modify(leavesGroup(round, users, scene.slapd.suffix));
  const left = await syncing.sync();
  if (left.counts?.changed !== 1)
    throw new Error(`${left.counts?.changed} changed, not one who leaves a group`);
  note("one leaves a group", left.ms);
}

// Groups have the users of equal number modulo the number of groups.
function leavesGroup(round: number, users: number, suffix: string): string {
  const number = round % Math.ceil(users / membersAGroup);
  const dn = `uid=${largeOrganizationUid(number)},ou=people,${suffix}`;
  return `dn: cn=group${number},ou=groups,${suffix}\nchangetype: modify\ndelete: member\nmember: ${dn}\n\n`;
}
