// `npm run bench:curves`: how long runs take as the directory grows, and how long requests take as connections become more, as a table and
// as a picture for docs/performance.md.
//
//   npm run bench:curves -- --sizes 1000,10000,100000,1000000 --svg docs/images/curves.svg
//
// What was measured is kept as JSON (--json FILE), so that sizes can be measured apart and drawn together (--with FILE).

import { readFile, writeFile } from "node:fs/promises";
import { Command, InvalidArgumentError } from "commander";
import { thousands } from "./bench.ts";
import { type ConnectionPoint, measureConnections } from "./connections.ts";
import { drawCharts, type LogChart } from "./log-chart.ts";
import { measureRuns, type RunTimes } from "./run-curves.ts";
import { withBench } from "./with-bench.ts";

interface Options {
  sizes: number[];
  rounds: number;
  connections: boolean;
  with: string[];
  json?: string;
  svg?: string;
}

interface Measured {
  machine: string;
  runs: RunTimes[];
  requests?: ConnectionPoint[];
}

const options = new Command("curves")
  .description("Measures runs at several sizes of the directory, and draws them.")
  .option(
    "--sizes <numbers>",
    "users in the directory; none to draw what --with has",
    sizesIn,
    [1_000, 10_000, 100_000],
  )
  .option("--rounds <number>", "rounds at each size; the median counts", (text) => sizesIn(text)[0], 3)
  .option("--connections", "measure requests at several numbers of connections too", false)
  .option("--with <file>", "what was kept before; may be given again", collect, [])
  .option("--json <file>", "keep what was measured")
  .option("--svg <file>", "draw all of it")
  .parse()
  .opts<Options>();

function sizesIn(text: string): number[] {
  const sizes = text === "none" ? [] : text.split(",").map((size) => Number(size.replaceAll("_", "")));
  if (sizes.some((size) => !Number.isSafeInteger(size) || size < 1))
    throw new InvalidArgumentError("whole numbers above 0");
  return sizes;
}

function collect(file: string, files: string[]): string[] {
  return [...files, file];
}

async function measure(sizes: number[]): Promise<Measured | undefined> {
  const settings = { users: 0, rounds: options.rounds, memoryUsers: 0, profileFolder: undefined };
  return await withBench(settings, async (bench, machine) => {
    const runs: RunTimes[] = [];
    for (const users of sizes) runs.push(await measureRuns(bench, users));
    const requests = options.connections ? await measureConnections(bench) : [];
    return { machine, runs, requests };
  });
}

function chartsOf({ machine, runs, requests = [] }: Measured): LogChart[] {
  const works = [...new Set(runs.flatMap(({ ms }) => Object.keys(ms)))];
  const ofRuns = works.map((name) => ({
    name,
    points: runs
      .map(({ users, ms }) => ({ x: users, y: (ms[name] ?? Number.NaN) / 1000 }))
      .sort((a, b) => a.x - b.x),
  }));
  const ofRequests = [...new Set(requests.map(({ work }) => work))].flatMap((work) =>
    (["p50Ms", "p99Ms"] as const).map((which) => ({
      name: `${work}, ${which === "p50Ms" ? "half" : "99 %"} within`,
      points: requests
        .filter((one) => one.work === work)
        .map((one) => ({ x: one.connections, y: one[which] }))
        .sort((a, b) => a.x - b.x),
    })),
  );
  const charts: LogChart[] = [];
  if (runs.length > 0)
    charts.push({
      title: `Runs, seconds (${machine})`,
      xLabel: "users in the directory",
      yLabel: "seconds",
      curves: ofRuns,
    });
  if (requests.length > 0)
    charts.push({
      title: "Requests, milliseconds",
      xLabel: "connections",
      yLabel: "milliseconds",
      curves: ofRequests,
    });
  return charts;
}

function printTable({ machine, runs, requests = [] }: Measured): void {
  console.log(`${machine}\n`);
  for (const { users, ms } of runs) {
    const times = Object.entries(ms).map(([work, time]) => `${work} ${(time / 1000).toFixed(2)} s`);
    console.log(`${thousands(users)} users: ${times.join(", ")}`);
  }
  for (const { work, connections, perSecond, p50Ms, p99Ms, errors } of requests) {
    const times = `${Math.round(perSecond)}/s, half within ${p50Ms.toFixed(1)} ms, 99 % within ${p99Ms.toFixed(1)} ms, ${errors} errors`;
    console.log(`${work}, ${connections} connections: ${times}`);
  }
}

const earlier: Measured[] = [];
for (const file of options.with) earlier.push(JSON.parse(await readFile(file, "utf8")));
const isMeasuring = options.sizes.length > 0 || options.connections;
const fresh = isMeasuring ? await measure(options.sizes) : undefined;
if (fresh !== undefined || !isMeasuring) {
  const all = fresh === undefined ? earlier : [...earlier, fresh];
  const measured: Measured = {
    machine: all.find(({ machine }) => machine !== undefined)?.machine ?? "",
    runs: all.flatMap(({ runs = [] }) => runs),
    requests: all.flatMap(({ requests = [] }) => requests),
  };
  printTable(measured);
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(measured, null, 2)}\n`);
  if (options.svg !== undefined) await writeFile(options.svg, drawCharts(chartsOf(measured)));
}
