// Many more rounds of test/sync/random-increments.test.ts, each time from other seeds. One failure again, from the seed that it
// names: RANDOM_SEED=123 npm run test:properties -- random-increments

import { test } from "vitest";
import { incrementMatters, runIncrementRounds } from "../support/random-increments.ts";
import { runRandomWorlds } from "../support/random-rounds.ts";

test("an incremental run sees who is there and removes nobody, and a full one makes both equal", async () => {
  await runRandomWorlds(runIncrementRounds, incrementMatters, { rounds: 300, minutes: 5 });
});
