// Hostile directories at random (rules 1, 3, 8): see what must hold in test/support/random-directories.ts. `npm run test:properties`
// does many more, from other seeds.

import { expect, test } from "vitest";
import { directoryMatters, runDirectoryRounds } from "../support/random-directories.ts";

test("nobody unreadable is enabled, and nobody in the directory is removed: 30 rounds", async () => {
  const { seen } = await runDirectoryRounds({ seed: 1, rounds: 30, endsAt: Number.POSITIVE_INFINITY });
  // What did not come up was not tried.
  expect(directoryMatters.filter((name) => !seen[name])).toEqual([]);
}, 600_000);
