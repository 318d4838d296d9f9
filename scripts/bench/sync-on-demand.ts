// The measured process of the sync rows: a run for every line that it reads, an incremental one where the line says so, by the flow that the daemon uses, each timed from
// its start to its end, so without the start of node. Prints one JSON object a run.
//
//   node --max-semi-space-size=16 scripts/bench/sync-on-demand.ts CONFIG

import { createInterface } from "node:readline";
import { loadConfig } from "../../src/config/load-config.ts";
import { createLog } from "../../src/log.ts";
import { openDatabase } from "../../src/store/database.ts";
import { type SyncDeps, startSync } from "../../src/sync/start-sync.ts";
import type { RunCounts } from "../../src/sync/sync-run.ts";
import { mfaPolicyOf } from "../../src/users/policy.ts";

export interface SyncAnswer {
  ms: number;
  kind: string;
  status: string;
  error: string | null;
  counts: RunCounts | null;
}

const config = await loadConfig(process.argv[2] ?? "", process.env);
const log = createLog("silent");
const database = await openDatabase(config.database, { log, owner: true });
const deps = {
  db: database.db,
  log,
  policy: mfaPolicyOf(config.mfa),
  directories: config.directories.map(({ name }) => name),
  holder: `bench:${process.pid}`,
};
for await (const line of createInterface({ input: process.stdin })) {
  const kind = line === "incremental" ? "incremental" : "full";
  console.log(JSON.stringify(await syncOnce(deps, kind)));
}
await database.close();

async function syncOnce(syncDeps: SyncDeps, kind: "full" | "incremental"): Promise<SyncAnswer> {
  const [directory] = config.directories;
  if (directory === undefined) throw new Error("the configuration has no directory");
  const start = performance.now();
  const started = await startSync(syncDeps, {
    directory,
    trigger: "request",
    actor: { name: "bench", via: "cli" },
    dryRun: false,
    kind,
    signal: new AbortController().signal,
  });
  const run = started.kind === "started" ? await started.finished : started.run;
  return {
    ms: performance.now() - start,
    kind: run.kind,
    status: run.status,
    error: run.error?.message ?? null,
    counts: run.counts,
  };
}
