// Groups that change at random (rule 28): a run that looks at few users must leave what one that looks at all would. See
// test/support/random-groups.ts; `npm run test:properties` does many more, from other seeds.

import { expect, test } from "vitest";
import { groupMatters, runGroupRounds } from "../support/random-groups.ts";

test("memberships follow from the stored users and groups, however few a run has looked at: 60 rounds", async () => {
  const { seen } = await runGroupRounds({ seed: 2, rounds: 60, endsAt: Number.POSITIVE_INFINITY });
  // What did not come up was not tried.
  expect(groupMatters.filter((name) => !seen[name])).toEqual([]);
}, 300_000);
