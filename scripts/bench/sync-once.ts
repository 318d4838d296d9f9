// The measured process of the sync rows: one run by the flow that the daemon uses, timed from its start to its end, so
// without the start of node. Prints one JSON object.
//
//   node --max-semi-space-size=8 scripts/bench/sync-once.ts CONFIG

import { loadConfig } from "../../src/config/load-config.ts";
import { createLog } from "../../src/log.ts";
import { openDatabase } from "../../src/store/database.ts";
import { startSync } from "../../src/sync/run-sync.ts";
import type { RunCounts } from "../../src/sync/sync-run.ts";
import { mfaPolicyOf } from "../../src/users/policy.ts";

export interface SyncOnceAnswer {
  ms: number;
  status: string;
  error: string | null;
  counts: RunCounts | null;
}

const config = await loadConfig(process.argv[2] ?? "", process.env);
const log = createLog("silent");
const database = await openDatabase(config.database, { log, owner: true });
const [directory] = config.directories;
if (directory === undefined) throw new Error("the configuration has no directory");

const start = performance.now();
const started = await startSync(
  { db: database.db, log, policy: mfaPolicyOf(config.mfa), holder: `bench:${process.pid}` },
  {
    directory,
    trigger: "request",
    actor: { name: "bench", via: "cli" },
    dryRun: false,
    signal: new AbortController().signal,
  },
);
const run = started.kind === "started" ? await started.finished : started.run;
const answer: SyncOnceAnswer = {
  ms: performance.now() - start,
  status: run.status,
  error: run.error?.message ?? null,
  counts: run.counts,
};
await database.close();
console.log(JSON.stringify(answer));
