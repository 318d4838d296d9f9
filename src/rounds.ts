// Work that a daemon repeats while it runs: one round at a time, with a pause between two rounds. In no folder, since sealing,
// audit, notices and the housekeeping repeat their work this way.

export interface Rounds {
  /** Starts no further round, and waits for one that is under way. */
  stop(): Promise<void>;
}

export interface RoundsOptions {
  /** Must not reject: what is tried again, or told, only the round knows. */
  round(): Promise<void>;
  /** Asked after each round: how long until the next one. */
  pauseMs(): number;
  /** Begin at once; otherwise after a first pause. */
  atOnce?: true;
}

export function startRounds({ round, pauseMs, atOnce }: RoundsOptions): Rounds {
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  const runOne = () =>
    round().then(() => {
      if (!isStopped) pause();
    });
  const pause = () => {
    timer = setTimeout(() => {
      running = runOne();
    }, pauseMs());
  };
  let running = Promise.resolve();
  if (atOnce) running = runOne();
  else pause();
  return {
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}

/** How long to leave somebody alone who failed `failures` times in a row: twice as long each time, up to a limit. 0 for none. */
export function pauseAfter(failures: number, { firstMs, longestMs }: PauseLimits): number {
  return failures === 0 ? 0 : Math.min(firstMs * 2 ** (failures - 1), longestMs);
}

export interface PauseLimits {
  firstMs: number;
  longestMs: number;
}
