// Turns at work that keeps a processor busy: some at once, the others in line for a bounded time. Refuses some in time rather than
// serving all of them too late.

import { AppError } from "../errors.ts";
import { givenUp } from "./waiting-caller.ts";

export interface TurnLimits {
  /** How many work at the same time. */
  running: number;
  /** How long one may stand in line. Who would have to stand there longer, by what the work takes, is refused at once. */
  waitMs: number;
  /** What the work takes, until it has been seen. */
  usualMs: number;
}

export interface Waiting {
  isWanted(): Promise<boolean>;
  signal?: AbortSignal | undefined;
  /** Before all others, however long the line is: for what has waited once already, and is bounded by that. */
  goesFirst?: true;
}

export interface Turns {
  /**
   * What `work` answers, or undefined when `isWanted` says no; it is asked only after a wait, when the world may have changed.
   * Throws AppError `rate-limited` when the line is too long, mostly before standing in it, and `aborted` when the signal comes while in line.
   */
  run<Answer>(work: () => Promise<Answer>, waiting: Waiting): Promise<Answer | undefined>;
}

// A single slow one, as of a process that was stopped for a while, does not close the line: it counts a tenth, and for no more than may be waited.
const weightOfNewest = 0.1;

export function createTurns(limits: TurnLimits): Turns {
  let running = 0;
  let workMs = limits.usualMs;
  const line = new Set<() => void>();
  const first = new Set<() => void>();
  const timed = async <Answer>(work: () => Promise<Answer>) => {
    const begunAt = performance.now();
    const answer = await work();
    const tookMs = Math.min(performance.now() - begunAt, limits.waitMs);
    workMs += (tookMs - workMs) * weightOfNewest;
    return answer;
  };
  return {
    async run(work, { isWanted, signal, goesFirst }) {
      const waits = running >= limits.running;
      const expectedMs = ((line.size + 1) * workMs) / limits.running;
      if (waits && !goesFirst && expectedMs > limits.waitMs) throw tooMany();
      if (waits) await standInLine(goesFirst ? first : line, limits, signal);
      else running++;
      try {
        return !waits || (await isWanted()) ? await timed(work) : undefined;
      } finally {
        const [next] = first.size > 0 ? first : line;
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
