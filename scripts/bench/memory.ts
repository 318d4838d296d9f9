// Peak memory of `dirmfa sync`, for the first import and for a run that changes nothing, at 10,000 users and at many more.
// There is no floor: the peak must not grow with the directory.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Bench, type BenchResult, type BenchRow, mebibytes, thousands } from "./bench.ts";
import { dirmfaArgs } from "./program.ts";
import { openSyncScene, runNode } from "./scene.ts";

export const memory: BenchRow = { name: "memory", run };

const fewUsers = 10_000;
const mostGrowth = 64 * 1024 ** 2;
const mostPeak = 256 * 1024 ** 2;

async function run(bench: Bench): Promise<BenchResult[]> {
  const few = await peaksAt(bench, fewUsers);
  const many = await peaksAt(bench, bench.memoryUsers);
  return [
    compare("first import", bench.memoryUsers, few.firstImport, many.firstImport),
    compare("nothing changed", bench.memoryUsers, few.unchanged, many.unchanged),
  ];
}

function compare(work: string, users: number, few: number, many: number): BenchResult {
  const growth = many - few;
  return {
    work: `peak memory, ${work}, ${thousands(users)} users`,
    measured: mebibytes(many),
    floor: `${mebibytes(few)} at ${thousands(fewUsers)}`,
    ratio: `${growth < 0 ? "−" : "+"}${mebibytes(Math.abs(growth))}`,
    target: "≤ +64 MiB, < 256 MiB",
    met: growth <= mostGrowth && many < mostPeak,
    notes: [],
    samples: { fewBytes: [few], manyBytes: [many] },
  };
}

async function peaksAt(bench: Bench, users: number): Promise<{ firstImport: number; unchanged: number }> {
  const scene = await openSyncScene(bench, users);
  try {
    await scene.freshDatabase();
    const peak = async (name: string) => {
      bench.say(`Peak memory at ${users} users, ${name}`);
      const file = join(bench.folder, "peak");
      const reporting = ["--import", "./scripts/bench/report-peak.ts"];
      await runNode(bench, [...dirmfaArgs(bench, scene.configFile, reporting), "sync"], { PEAK_FILE: file });
      return Number(await readFile(file, "utf8"));
    };
    return { firstImport: await peak("first import"), unchanged: await peak("nothing changed") };
  } finally {
    await scene.close();
  }
}
