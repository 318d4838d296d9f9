// How many requests one caller may make, and how many about one user (token buckets). In memory and per process on purpose: it protects this process
// and its database pool from one caller, and the users of a caller from each other; the protection against guessing is the lockout, which is in the database.

import type { Clock } from "../clock.ts";
import { createRecent } from "../recent.ts";

export interface RateLimit {
  /** 0 when the request may go on, else after how many seconds the next one may. */
  take(): number;
}

/** A burst may be twice the rate: enough for a login page that asks two things at once. */
const burstSeconds = 2;

/** A bucket that starts full and fills at `perSecond`. A clock that jumps back adds nothing and takes nothing. */
export function createRateLimit(perSecond: number, clock: Clock): RateLimit {
  const capacity = Math.max(1, perSecond * burstSeconds);
  let tokens = capacity;
  let filledAtMs = clock.now().getTime();
  return {
    take() {
      const nowMs = clock.now().getTime();
      const elapsedMs = Math.max(0, nowMs - filledAtMs);
      tokens = Math.min(capacity, tokens + (elapsedMs / 1000) * perSecond);
      filledAtMs = nowMs;
      if (tokens >= 1) {
        tokens -= 1;
        return 0;
      }
      return Math.max(1, Math.ceil((1 - tokens) / perSecond));
    },
  };
}

export interface RateLimits {
  /** As `RateLimit.take`, for each key on its own. */
  take(key: string): number;
}

/**
 * Of this many users the present rate is remembered, those asked about last, at least: a login service has fewer at a time. Whoever
 * makes up names to push one out uses up the caller's rate with them.
 */
const keysKept = 10_000;

/** A bucket for every key. */
export function createRateLimits(perSecond: number, clock: Clock): RateLimits {
  const limits = createRecent<RateLimit>(keysKept);
  return {
    take(key) {
      const limit = limits.get(key) ?? createRateLimit(perSecond, clock);
      limits.note(key, limit);
      return limit.take();
    },
  };
}
