// Turns at work that keeps a processor busy: some at once, the others in line for a bounded time. Refuses some in time rather than
// serving all of them too late.

import { AppError } from "../errors.ts";
import { givenUp } from "./waiting-caller.ts";

export interface TurnLimits {
  /** How many work at the same time. */
  running: number;
  /** How many may stand in line; the next one is refused at once. */
  waiting: number;
  /** How long one may stand in line. */
  waitMs: number;
}

export interface Turns {
  /**
   * What `work` answers, or undefined when `isWanted` says no; it is asked only after a wait, when the world may have changed.
   * Throws AppError `rate-limited` when the line is too long or too slow, and `aborted` when the signal comes while in line.
   */
  run<Answer>(
    work: () => Promise<Answer>,
    waiting: { isWanted(): Promise<boolean>; signal?: AbortSignal | undefined },
  ): Promise<Answer | undefined>;
}

export function createTurns(limits: TurnLimits): Turns {
  let running = 0;
  const line = new Set<() => void>();
  return {
    async run(work, { isWanted, signal }) {
      const waits = running >= limits.running;
      if (waits) await standInLine(line, limits, signal);
      else running++;
      try {
        return !waits || (await isWanted()) ? await work() : undefined;
      } finally {
        const [next] = line;
        // The turn goes straight to the next, so the count stays.
        if (next) next();
        else running--;
      }
    },
  };
}

/** Resolves when the turn has come. */
function standInLine(
  line: Set<() => void>,
  limits: TurnLimits,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (signal?.aborted) reject(givenUp());
  else if (line.size >= limits.waiting) reject(tooMany());
  else {
    const leave = (then: () => void) => {
      line.delete(take);
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      then();
    };
    const take = () => leave(resolve);
    const onAbort = () => leave(() => reject(givenUp()));
    const timer = setTimeout(() => leave(() => reject(tooMany())), limits.waitMs);
    signal?.addEventListener("abort", onAbort);
    line.add(take);
  }
  return promise;
}

function tooMany(): AppError {
  return new AppError("rate-limited", "Too many backup codes are being checked or made.", {
    remedy: "Try again in a few seconds.",
  });
}
