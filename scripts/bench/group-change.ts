// What a change of a few memberships costs: one user joins a group, leaves the group of all users, is hired, or leaves the
// organization. The floor of each is a run in which nothing changed, in the same round, by the same process.

import { largeOrganizationEntry, largeOrganizationUid } from "../servers/large-organization.ts";
import { type Bench, type BenchResult, type BenchRow, compareTimes, thousands } from "./bench.ts";
import { openSyncScene, type Syncing, type SyncScene } from "./scene.ts";

export const groupChange: BenchRow = { name: "group-change", run };

const mostTimesFloor = 1.3;
const membersAGroup = 100;

interface Change {
  work: string;
  /** Change records of a round, from 1. */
  records(round: number): string;
  /** Rows of user_groups that it adds, less those that it takes away. */
  memberships: number;
}

async function run(bench: Bench): Promise<BenchResult[]> {
  const groups = Math.ceil(bench.users / membersAGroup);
  const scene = await openSyncScene(bench, bench.users, { groups, groupOfAll: true });
  let syncing: Syncing | undefined;
  try {
    await scene.freshDatabase();
    syncing = scene.startSyncing();
    await syncing.sync();
    await scene.psql("vacuum (analyze)"); // as for unchanged-run
    const results: BenchResult[] = [];
    for (const change of changesOf(bench.users, groups, scene.slapd.suffix))
      results.push(await measure(bench, scene, { syncing, change }));
    return results;
  } finally {
    await syncing?.close();
    await scene.close();
  }
}

async function measure(
  bench: Bench,
  scene: SyncScene,
  { syncing, change }: { syncing: Syncing; change: Change },
): Promise<BenchResult> {
  const samples = { work: [] as number[], floor: [] as number[] };
  for (let round = 1; round <= bench.rounds; round += 1) {
    bench.say(`${change.work}, round ${round} of ${bench.rounds}`);
    samples.floor.push((await syncing.sync()).ms);
    const before = await countMemberships(scene);
    await scene.slapd.modify(change.records(round));
    samples.work.push((await syncing.sync()).ms);
    const found = (await countMemberships(scene)) - before;
    if (found !== change.memberships) throw new Error(`${change.work}: ${found} memberships more`);
  }
  return compareTimes(`a run: ${change.work}`, mostTimesFloor, samples);
}

async function countMemberships(scene: SyncScene): Promise<number> {
  return Number((await scene.queryRow("select count(*) as count from user_groups")).count);
}

// Every round takes other users, from the front for those who stay and from the back for those who go.
function changesOf(users: number, groups: number, suffix: string): Change[] {
  const dn = (number: number) => `uid=${largeOrganizationUid(number)},ou=people,${suffix}`;
  const modify = (cn: string, how: string, number: number) =>
    `dn: cn=${cn},ou=groups,${suffix}\nchangetype: modify\n${how}: member\nmember: ${dn(number)}\n\n`;
  const entry = (number: number) =>
    largeOrganizationEntry(number, suffix).replace("\n", "\nchangetype: add\n");
  return [
    {
      work: `one user joins a group of ${membersAGroup}`,
      records: (round) => modify(`group${groups - 1}`, "add", round),
      memberships: 1,
    },
    {
      work: `a group of all ${thousands(users)} loses one`,
      records: (round) => modify("all", "delete", round),
      memberships: -1,
    },
    {
      work: "one is hired",
      records: (round) => entry(users + round) + modify("all", "add", users + round),
      memberships: 1,
    },
    {
      work: "one leaves",
      records: (round) =>
        `dn: ${dn(users - round)}\nchangetype: delete\n\n` +
        modify("all", "delete", users - round) +
        modify(`group${(users - round) % groups}`, "delete", users - round),
      memberships: -2,
    },
  ];
}
