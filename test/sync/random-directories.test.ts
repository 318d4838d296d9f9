// Hostile directories at random (rules 1, 3, 8): see what must hold in test/support/random-directories.ts.

import { expect, test } from "vitest";
import { runDirectoryRounds } from "../support/random-directories.ts";

// More with `RANDOM_ROUNDS=2000 RANDOM_SEED=7 npx vitest run --project postgres test/sync/random-directories.test.ts`.
const rounds = Number(process.env.RANDOM_ROUNDS ?? 40);
const seed = Number(process.env.RANDOM_SEED ?? 1);

test(`nobody unreadable is enabled, and nobody in the directory is removed: ${rounds} rounds`, async () => {
  const seen = await runDirectoryRounds({ seed, rounds });
  // What did not come up was not tried.
  for (const count of Object.values(seen)) expect(count, JSON.stringify(seen)).toBeGreaterThan(0);
}, 3_600_000);
