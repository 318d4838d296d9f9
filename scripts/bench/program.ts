// What is measured: dirmfa built as for a release, and run with the options of the program's own first line. From the
// sources every process and thread would first strip types, which no installation does.

import { join, resolve } from "node:path";
import { buildProgram } from "../build.ts";
import type { Bench } from "./bench.ts";

const programFolder = resolve(import.meta.dirname, "../../bench-results/program");

const nodeOptions = ["--max-semi-space-size=16"];

/** Builds the program, and beside it the process of sync-on-demand.ts. */
export async function buildMeasuredProgram(): Promise<void> {
  await buildProgram(programFolder, { "sync-on-demand": "scripts/bench/sync-on-demand.ts" });
}

/** Arguments for node: the built `dirmfa` with its configuration; behind them the command. Profiled where that is wanted. */
export function dirmfaArgs(bench: Bench, configFile: string, moreNodeOptions: string[] = []): string[] {
  return [
    ...nodeOptions,
    ...profileOptions(bench),
    ...moreNodeOptions,
    join(programFolder, "main.js"),
    "--config",
    configFile,
  ];
}

/** Arguments for node: sync runs by sync-on-demand.ts. */
export function syncOnDemandArgs(bench: Bench, configFile: string): string[] {
  return [...nodeOptions, ...profileOptions(bench), join(programFolder, "sync-on-demand.js"), configFile];
}

function profileOptions({ profileFolder }: Bench): string[] {
  return profileFolder === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileFolder}`];
}
