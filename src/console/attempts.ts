// How often a password may be tried at the console, per user and per address. In memory and per process on purpose: it keeps
// this process from being somebody's tool against the directory, whose own lockout is the guard of its passwords.

import { isIPv6 } from "node:net";
import type { Clock } from "../clock.ts";
import { createRecent } from "../recent.ts";

export interface Attempts {
  /** 0 when the attempt may be made, and counts it; else after how many seconds the next one may. */
  take(key: string): number;
  /** Forgets a key: the password was right. */
  clear(key: string): void;
  /** Takes one attempt back, that was a good one. */
  giveBack(key: string): void;
}

/** Keys kept, those that came last, at least: a flood of made-up names must not fill the memory. */
const keysKept = 20_000;

/** At most `most` attempts of a key in `withinMs`. */
export function createAttempts(limit: { most: number; withinMs: number }, clock: Clock): Attempts {
  const times = createRecent<number[]>(keysKept);
  return {
    take(key) {
      const now = clock.now().getTime();
      const recent = (times.get(key) ?? []).filter((at) => at > now - limit.withinMs && at <= now);
      const [oldest = now] = recent;
      times.note(key, recent);
      if (recent.length >= limit.most) return Math.max(1, Math.ceil((oldest + limit.withinMs - now) / 1000));
      recent.push(now);
      return 0;
    },
    clear: (key) => times.forget(key),
    giveBack: (key) => void times.get(key)?.pop(),
  };
}

/** Whoever has one IPv6 address has its whole /64. */
export function networkOf(address: string): string {
  const bare = address.replace(/^::ffff:(?=\d+\.)/i, "");
  if (!isIPv6(bare)) return bare;
  const [head = "", tail] = bare.split("::");
  const groups = head.split(":").filter((group) => group !== "");
  const missing =
    tail === undefined ? 0 : 8 - groups.length - tail.split(":").filter((it) => it !== "").length;
  return [...groups, ...Array<string>(Math.max(0, missing)).fill("0"), ...(tail ?? "").split(":")]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":");
}
