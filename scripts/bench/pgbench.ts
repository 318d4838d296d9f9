// pgbench as a floor: the least that the work costs PostgreSQL, by statements written by hand (floors/), on tables that hold
// nothing else, prepared once. None of dirmfa's own statements or settings is in it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { type Bench, mean } from "./bench.ts";
import type { SyncScene } from "./scene.ts";

const floorsFolder = join(import.meta.dirname, "floors");

/** Its own database beside the daemon's, with that many users. Returns its URL. */
export async function openFloorDatabase(bench: Bench, scene: SyncScene, users: number): Promise<string> {
  const url = await scene.createDatabase("bench_floor");
  const variables = ["-v", `users=${users}`, "-v", "ON_ERROR_STOP=1"];
  await psql(bench, url, [...variables, "-f", join(floorsFolder, "tables.sql")]);
  await psql(bench, url, ["-c", "vacuum analyze"]);
  return url;
}

/** Every step is good again, nothing is left to clean up, and no round pays for the writes of the one before. */
export async function forgetFloorSteps(bench: Bench, url: string): Promise<void> {
  for (const sql of [
    "update floor_authenticators set last_step = 0",
    "vacuum floor_authenticators",
    "checkpoint",
  ])
    await psql(bench, url, ["-c", sql]);
}

export interface FloorLoad {
  work: "verification" | "sign-in";
  users: number;
  clients: number;
  settleSeconds: number;
  seconds: number;
}

/**
 * Transactions a second over `seconds`, after `settleSeconds` in which they are not counted yet. A failed transaction throws.
 */
export async function pgbenchRate(bench: Bench, url: string, load: FloorLoad): Promise<number> {
  const args = [
    ...["-n", "-M", "prepared"],
    ...["-c", String(load.clients), "-T", String(load.settleSeconds + load.seconds)],
    ...["-P", "1"], // a line with the rate of each second
    ...["-j", "2"], // one thread is enough for some ten thousand transactions a second, two for any floor
    ...["-D", `users=${load.users}`, "-D", `clients=${load.clients}`, "-D", "turn=0"],
    ...["-f", join(floorsFolder, `${load.work}.sql`), url],
  ];
  const { code, printed } = await ended(bench, bench.programs.pgbench ?? "pgbench", args);
  const rates = [...printed.matchAll(/^progress: ([\d.]+) s, ([\d.]+) tps/gm)]
    .filter(([, second]) => Number(second) > load.settleSeconds + 0.5) // the second is a little more or less than whole
    .map(([, , rate]) => Number(rate));
  if (code !== 0 || rates.length === 0) throw new Error(`pgbench ended with ${code}: ${printed}`);
  return mean(rates);
}

async function psql(bench: Bench, url: string, args: string[]): Promise<void> {
  const { code, printed } = await ended(bench, bench.programs.psql ?? "psql", ["-qX", "-d", url, ...args]);
  if (code !== 0) throw new Error(`psql ended with ${code}: ${printed}`);
}

async function ended(
  bench: Bench,
  command: string,
  args: string[],
): Promise<{ code: number; printed: string }> {
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"], signal: bench.signal });
  let printed = "";
  child.stderr.on("data", (chunk: Buffer) => {
    printed += chunk.toString();
  });
  const [code] = await once(child, "close");
  return { code, printed };
}
