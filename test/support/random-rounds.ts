// Rounds of random changes, by the number or for a time: worlds one after the other, each from its own seed, so that what
// was found can be seen again from the seed that the failure names.

import { randomInt } from "node:crypto";
import { expect } from "vitest";

export interface Rounds {
  seed: number;
  rounds: number;
  /** No round begins after this, in milliseconds since 1970. */
  endsAt: number;
}

export interface RoundsSeen {
  rounds: number;
  /** How often what came up. */
  seen: Record<string, number>;
}

/** A machine that does much else answers late, which is not a fault of the directory. */
export const patientTimeouts = { connectMs: 60_000, idleMs: 60_000, listingMs: 300_000 };

// Long enough for a store to have a past, short enough to go through again.
const roundsOfWorld = 100;
// What comes up less often than once in so many rounds was not tried.
const rare = 200;

/**
 * Runs worlds until `rounds` are done or `minutes` over. RANDOM_SEED sets the first seed, RANDOM_ROUNDS and RANDOM_MINUTES how
 * much is done. Prints what was done, and requires that each of `matters` came up.
 */
export async function runRandomWorlds(
  run: (rounds: Rounds) => Promise<RoundsSeen>,
  matters: readonly string[],
  usual: { rounds: number; minutes: number },
): Promise<void> {
  const firstSeed = Number(process.env.RANDOM_SEED ?? randomInt(1, 1_000_000_000));
  const rounds = Number(process.env.RANDOM_ROUNDS ?? usual.rounds);
  const endsAt = Date.now() + Number(process.env.RANDOM_MINUTES ?? usual.minutes) * 60_000;
  console.log(`RANDOM_SEED=${firstSeed}`);
  const sum: RoundsSeen = { rounds: 0, seen: {} };
  for (let seed = firstSeed; sum.rounds < rounds && Date.now() < endsAt; seed += 1) {
    const one = await run({ seed, rounds: Math.min(roundsOfWorld, rounds - sum.rounds), endsAt });
    sum.rounds += one.rounds;
    for (const [name, times] of Object.entries(one.seen)) sum.seen[name] = (sum.seen[name] ?? 0) + times;
  }
  console.log(JSON.stringify(sum));
  for (const name of matters)
    expect(sum.seen[name] ?? 0, `${name} in ${sum.rounds} rounds`).toBeGreaterThanOrEqual(
      Math.floor(sum.rounds / rare),
    );
}
