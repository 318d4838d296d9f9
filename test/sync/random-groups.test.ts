// Groups that change at random (rule 28): a run that looks at few users must leave what one that looks at all would. See
// test/support/random-groups.ts; `npm run test:properties` does many more, and counts what came up.

import { test } from "vitest";
import { runGroupRounds } from "../support/random-groups.ts";

test("memberships follow from the stored users and groups, however few a run has looked at: 15 rounds", async () => {
  await runGroupRounds({ seed: 2, rounds: 15, endsAt: Number.POSITIVE_INFINITY });
}, 300_000);
