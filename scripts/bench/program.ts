// What is measured: dirmfa compiled as for a release, and run with the options of the program's own first line. From the
// sources every process and thread would first strip types, which no installation does.

import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import type { Bench } from "./bench.ts";

const projectFolder = resolve(import.meta.dirname, "../..");
const compiledFolder = join(projectFolder, "bench-results/program");

const nodeOptions = ["--max-semi-space-size=8"];

/** Compiles the program; some seconds. */
export async function compileProgram(): Promise<void> {
  const tsc = join(projectFolder, "node_modules/.bin/tsc");
  await promisify(execFile)(tsc, ["-p", join(import.meta.dirname, "tsconfig.json")]);
}

/** Arguments for node: the compiled `dirmfa` with its configuration; behind them the command. Profiled where that is wanted. */
export function dirmfaArgs(bench: Bench, configFile: string, moreNodeOptions: string[] = []): string[] {
  return [
    ...nodeOptions,
    ...profileOptions(bench),
    ...moreNodeOptions,
    compiled("src/main.js"),
    "--config",
    configFile,
  ];
}

/** Arguments for node: sync runs by sync-on-demand.ts. */
export function syncOnDemandArgs(bench: Bench, configFile: string): string[] {
  return [...nodeOptions, ...profileOptions(bench), compiled("scripts/bench/sync-on-demand.js"), configFile];
}

function compiled(path: string): string {
  return join(compiledFolder, path);
}

function profileOptions({ profileFolder }: Bench): string[] {
  return profileFolder === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileFolder}`];
}
