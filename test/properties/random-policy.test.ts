// Many more rounds of test/sync/random-policy.test.ts, each time from other seeds. One failure again, from the seed that it names:
// RANDOM_SEED=123 npm run test:properties -- random-policy

import { test } from "vitest";
import { policyMatters, runPolicyRounds } from "../support/random-policy.ts";
import { runRandomWorlds } from "../support/random-rounds.ts";

test("nobody gets in without what the policy asks, nobody loses anything, and no requirement ends untold", async () => {
  await runRandomWorlds(runPolicyRounds, policyMatters, { rounds: 1000, minutes: 5 });
});
