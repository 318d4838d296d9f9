// Full and incremental runs at random over a directory that changes (rule 25): see what must hold in
// test/support/random-increments.ts. `npm run test:properties` does many more, from other seeds.

import { expect, test } from "vitest";
import { incrementMatters, runIncrementRounds } from "../support/random-increments.ts";

test("an incremental run sees who is there and removes nobody, and a full one makes both equal: 30 rounds", async () => {
  const { seen } = await runIncrementRounds({ seed: 1, rounds: 30, endsAt: Number.POSITIVE_INFINITY });
  // What did not come up was not tried.
  expect(incrementMatters.filter((name) => !seen[name])).toEqual([]);
}, 600_000);
