// Audit events for a SIEM while a daemon runs, in the order of their seals: one replica at a time, nothing skipped, and each at
// least once. What is written out first and noted afterwards comes again when the process dies in between.

import type { AuditStreamConfig } from "../config/config.ts";
import type { Log } from "../log.ts";
import { pauseAfter, startRounds } from "../rounds.ts";
import type { Database } from "../store/database.ts";
import { acquireLease, releaseLease, renewLease, requireLease } from "../store/leases-table.ts";
import { countUnstreamed, findStreamPosition, moveStream } from "./audit-streams-table.ts";
import { listSealedEvents } from "./seals-table.ts";
import { streamLines } from "./stream-lines.ts";
import { writeLines } from "./stream-targets.ts";

// Events are sealed every two seconds.
const everyMs = 1_000;
// Longer than a batch takes with its time-out; a dead process keeps the others waiting for no longer.
const leaseMs = 60_000;
// Some 300 KB.
const batchSize = 500;
// Between two looks at a receiver that is away: twice as long each time.
const awayPause = { firstMs: 2_000, longestMs: 60_000 };

export interface StreamDeps {
  db: Database;
  log: Log;
  /** Which process asks, for the lease. */
  holder: string;
}

/** Streams what is sealed, to its end or until `signal`. Throws when the target does not take it. */
export async function streamEvents(
  { db, log, holder }: StreamDeps,
  config: AuditStreamConfig,
  signal: AbortSignal,
): Promise<void> {
  const { name } = config;
  if ((await countUnstreamed(db, name)) === 0) return;
  const attempt = await acquireLease(db, { name: `audit-stream:${name}`, holder, ttlMs: leaseMs });
  if (!attempt.won) return;
  try {
    let position = await findStreamPosition(db, name);
    while (!signal.aborted) {
      const batch = await listSealedEvents(db, position, batchSize);
      const last = batch.at(-1)?.seal.position;
      if (last === undefined) return;
      const first = batch[0]?.seal.position;
      if (first !== String(BigInt(position) + 1n)) {
        log.error(
          { stream: name, after: position, first },
          "audit events were cut off before they were streamed",
        );
      }
      if (!(await renewLease(db, attempt.lease, leaseMs))) return;
      await writeLines(config, streamLines(position, batch));
      await db.transaction(async (trx) => {
        await requireLease(trx, attempt.lease);
        await moveStream(trx, { name, position: last });
      });
      position = last;
    }
  } finally {
    await releaseLease(db, attempt.lease);
  }
}

export interface EventStream {
  /** How many sealed events wait for the receiver. */
  measure(): Promise<number>;
  /** Waits for a batch that is under way. */
  stop(): Promise<void>;
}

/** Starts it; a failure is logged and tried again. */
export function startEventStream(deps: StreamDeps, config: AuditStreamConfig): EventStream {
  const stopping = new AbortController();
  let failures = 0;
  const round = async () => {
    try {
      await streamEvents(deps, config, stopping.signal);
      failures = 0;
    } catch (error) {
      failures += 1;
      deps.log.warn({ err: error, stream: config.name, failures }, "audit events not streamed; tried again");
    }
  };
  const rounds = startRounds({ round, pauseMs: () => pauseAfter(failures, awayPause) || everyMs });
  return {
    measure: () => countUnstreamed(deps.db, config.name),
    async stop() {
      stopping.abort();
      await rounds.stop();
    },
  };
}
