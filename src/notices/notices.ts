// Notices while a daemon runs: finds the states that somebody must be told of, delivers what waits, gives up what is too old.

import type { NoticesConfig } from "../config/config.ts";
import { pauseAfter, startRounds } from "../rounds.ts";
import { acquireLease } from "../store/leases-table.ts";
import { channelsOf, type DeliverDeps, deliverDue } from "./deliver-notices.ts";
import type { NoticeChannel } from "./notice.ts";
import { noticeChannels } from "./notice.ts";
import {
  deleteEnded,
  giveUp,
  insertDeadlines,
  insertFailedRuns,
  insertForAdmins,
  insertStaleDirectories,
} from "./notices-table.ts";

// A person who is told within seconds is told at once.
const deliverEveryMs = 2_000;
// Deadlines and stale directories are counted in days.
const findEveryMs = 60_000;
// A state that was told is told again when this is over: longer than the longest grace period.
const keepEndedMs = 100 * 86_400_000;
// Between two looks at a channel that is away: twice as long each time.
const awayPause = { firstMs: 5_000, longestMs: 300_000 };

export interface NoticesDeps extends DeliverDeps {
  /** Asked each time, since the configuration may be read again. */
  config(): NoticesConfig;
  /** Names of the configured directories. */
  directories(): readonly string[];
}

export interface Notices {
  /** The audit chain does not go on: told once a day for each kind of break. */
  tellBrokenChain(kind: string): Promise<void>;
  /** Waits for a delivery that is going on. */
  stop(): Promise<void>;
}

/** Starts it; a failure is logged and tried again. */
export function startNotices(deps: NoticesDeps): Notices {
  const stopping = new AbortController();
  const loops = [
    ...noticeChannels.map((channel) => every(deliverEveryMs, deliverRound(deps, channel, stopping.signal))),
    every(findEveryMs, () => findRound(deps)),
  ];
  function every(ms: number, work: () => Promise<void>) {
    const round = () =>
      work().catch((error: unknown) => deps.log.warn({ err: error }, "notices not looked at; tried again"));
    return startRounds({ round, pauseMs: () => ms });
  }
  return {
    tellBrokenChain: (kind) =>
      insertForAdmins(deps.db, {
        kind: "audit-chain-broken",
        facts: { reason: kind },
        // Again the next day, while it stays so.
        onceKey: `${kind}:${new Date().toISOString().slice(0, 10)}`,
      }),
    async stop() {
      stopping.abort();
      await Promise.all(loops.map((loop) => loop.stop()));
    },
  };
}

function deliverRound(deps: NoticesDeps, channel: NoticeChannel, signal: AbortSignal) {
  let failures = 0;
  let notBefore = 0;
  return async () => {
    const config = deps.config();
    if (!channelsOf(config).includes(channel) || performance.now() < notBefore) return;
    const outcome = await deliverDue(deps, config, { channel, signal });
    failures = outcome === "away" ? failures + 1 : 0;
    notBefore = performance.now() + pauseAfter(failures, awayPause);
  };
}

/** One replica a minute; what two of them find at the same time is told once all the same. */
async function findRound(deps: NoticesDeps): Promise<void> {
  const { db, holder } = deps;
  const config = deps.config();
  const channels = channelsOf(config);
  // Not released: it keeps the other replicas from looking in the same minute.
  const attempt = await acquireLease(db, { name: "notices-find", holder, ttlMs: findEveryMs - 5_000 });
  if (!attempt.won) return;
  await findStates(deps);
  await giveUp(db, { afterMs: config.giveUpAfterMs, channels });
  await deleteEnded(db, keepEndedMs);
}

/** Writes the notices of states. Does nothing for channels that are not configured. */
export async function findStates({
  db,
  config,
  directories,
}: Pick<NoticesDeps, "db" | "config" | "directories">) {
  const { mail, webhook, adminAddresses, remindersMs, staleAfterMs, failedRuns } = config();
  if (mail) await insertDeadlines(db, remindersMs);
  if (!webhook && (!mail || adminAddresses.length === 0)) return;
  const names = directories();
  await insertStaleDirectories(db, { directories: names, afterMs: staleAfterMs });
  await insertFailedRuns(db, { directories: names, inARow: failedRuns });
}
