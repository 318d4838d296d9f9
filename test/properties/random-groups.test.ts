// Many more rounds of test/sync/random-groups.test.ts, each time from other seeds. One failure again, from the seed that it names:
// RANDOM_SEED=123 npm run test:properties -- random-groups

import { test } from "vitest";
import { groupMatters, runGroupRounds } from "../support/random-groups.ts";
import { runRandomWorlds } from "../support/random-rounds.ts";

test("memberships follow from the stored users and groups, however few a run has looked at", async () => {
  await runRandomWorlds(runGroupRounds, groupMatters, { rounds: 1000, minutes: 5 });
});
