// `npm run bench`: measures dirmfa beside the floors of this machine, several rounds each, and prints medians with ratio and
// target. Everything it starts is private and gone at the end.
//
//   npm run bench -- --users 100000 --rounds 3 --only first-import,unchanged-run

import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import type { BenchResult, BenchRow } from "./bench.ts";
import { commandLine } from "./command-line.ts";
import { connections } from "./connections.ts";
import { firstImport } from "./first-import.ts";
import { groupChange } from "./group-change.ts";
import { incrementalRun } from "./incremental-run.ts";
import { memory } from "./memory.ts";
import { oneUser } from "./one-user.ts";
import { overload } from "./overload.ts";
import { signIn } from "./sign-in.ts";
import { start } from "./start.ts";
import { threeDaemons } from "./three-daemons.ts";
import { unchangedRun } from "./unchanged-run.ts";
import { verification } from "./verification.ts";
import { withBench } from "./with-bench.ts";

const rows: BenchRow[] = [
  firstImport,
  unchangedRun,
  incrementalRun,
  groupChange,
  oneUser,
  memory,
  verification,
  signIn,
  connections,
  overload,
  threeDaemons,
  start,
  commandLine,
];
const rowNames = rows.map((row) => row.name).join(",");

interface Options {
  users: number;
  rounds: number;
  memory: boolean;
  only?: BenchRow[];
  json: boolean;
  profile: boolean;
}

function parseOptions(): Options {
  return new Command("bench")
    .description("Measures dirmfa beside the floors of this machine.")
    .option("--users <number>", "users in the large directory", wholeNumber, 100_000)
    .option("--rounds <number>", "rounds of each row; the median counts", wholeNumber, 3)
    .option("--memory", "compare memory at 1,000,000 users instead of 200,000: takes minutes", false)
    .option("--only <rows>", `some of ${rowNames}`, rowsNamed)
    .option("--json", "print the results as JSON", false)
    .option("--profile", "write CPU profiles of the measured runs to bench-results/", false)
    .parse()
    .opts<Options>();
}

function wholeNumber(text: string): number {
  const number = Number(text.replaceAll("_", ""));
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError("a whole number above 0");
  return number;
}

function rowsNamed(text: string): BenchRow[] {
  const wanted = text.split(",");
  const unknown = wanted.filter((name) => !rows.some((row) => row.name === name));
  if (unknown.length > 0) throw new InvalidArgumentError(`${unknown.join(", ")} is none of ${rowNames}`);
  return rows.filter((row) => wanted.includes(row.name));
}

const options = parseOptions();
const profileFolder = options.profile ? resolve("bench-results") : undefined;
if (profileFolder !== undefined) await mkdir(profileFolder, { recursive: true });
const settings = {
  users: options.users,
  rounds: options.rounds,
  memoryUsers: options.memory ? 1_000_000 : 200_000,
  profileFolder,
};
await withBench(settings, async (bench, machine) => {
  const results: BenchResult[] = [];
  for (const row of options.only ?? rows) results.push(...(await row.run(bench)));
  if (options.json) console.log(JSON.stringify({ machine, results }, null, 2));
  else printTable(machine, results);
  if (profileFolder !== undefined)
    bench.say(`CPU profiles are in ${profileFolder}; open them in Chrome's DevTools.`);
  if (results.some((result) => !result.met)) process.exitCode = 1;
});

function printTable(machineLine: string, results: BenchResult[]): void {
  const header = ["work", "measured", "floor", "ratio", "target", ""];
  const lines = results.map((result) => [
    result.work,
    result.measured,
    result.floor,
    result.ratio,
    result.target,
    result.met ? "met" : "MISSED",
  ]);
  const widths = header.map((title, column) =>
    Math.max(title.length, ...lines.map((line) => line[column]?.length ?? 0)),
  );
  const row = (cells: string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  console.log(`\n${machineLine}\n`);
  console.log(row(header));
  console.log(row(widths.map((width) => "─".repeat(width))));
  for (const [index, line] of lines.entries()) {
    console.log(row(line));
    for (const note of results[index]?.notes ?? []) console.log(`  ${note}`);
  }
  console.log("");
}
