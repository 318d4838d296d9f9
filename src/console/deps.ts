// What the pages of the console need, put together once. Types only.

import type { Config, ConsoleConfig } from "../config/config.ts";
import type { Metrics } from "../http/metrics.ts";
import type { SyncRunner } from "../sync/sync-runner.ts";
import type { VerificationDeps } from "../verification/deps.ts";

export interface ConsoleDeps {
  /** The whole configuration, of which one page shows what is no secret. */
  config: Omit<Config, "console"> & { console: ConsoleConfig };
  verification: VerificationDeps;
  runner: SyncRunner;
  metrics: Pick<Metrics, "countVerification">;
  /** The state of the audit chain, as the metrics tell it. */
  measureAudit(): Promise<{ unsealedSeconds: number; broken: boolean }>;
  /** When the schedule starts the next run of a directory; undefined for runs on demand. */
  nextRunOf(directory: string): Date | undefined;
}
