// What every measurement begins and ends with: the servers' programs, the built program, a folder that is gone at the end, and Ctrl-C.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureServers } from "../servers/install-servers.ts";
import type { Bench } from "./bench.ts";
import { machineOf } from "./machine.ts";
import { buildMeasuredProgram } from "./program.ts";

export type BenchSettings = Pick<Bench, "users" | "rounds" | "memoryUsers" | "profileFolder">;

/** Undefined, with the process's exit code set, when it was ended by a signal. `machine`: one line about what is measured on. */
export async function withBench<Result>(
  settings: BenchSettings,
  work: (bench: Bench, machine: string) => Promise<Result>,
): Promise<Result | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-bench-"));
  const stopping = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => stopping.abort());
  try {
    const programs = await ensureServers(["slapd", "postgresql"]);
    await buildMeasuredProgram();
    const bench: Bench = {
      ...settings,
      programs,
      folder,
      signal: stopping.signal,
      say: (text) => {
        stopping.signal.throwIfAborted();
        process.stderr.write(`${text}\n`);
      },
    };
    return await work(bench, machineOf(programs));
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
    process.exitCode = 130; // as shells count a program ended by Ctrl-C
    return undefined;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
