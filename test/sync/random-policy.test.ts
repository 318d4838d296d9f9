// Random changes of an organization, of what its directory shows, and of the MFA policy (rules 1, 3 to 8, 11 to 13 and 27): see what
// must hold in test/support/random-policy.ts. `npm run test:properties` does more, and counts what came up.

import { test } from "vitest";
import { runPolicyRounds } from "../support/random-policy.ts";

test("nobody gets in without what the policy asks, nobody loses anything, and no requirement ends untold: 5 rounds", async () => {
  await runPolicyRounds({ seed: 1, rounds: 5, endsAt: Number.POSITIVE_INFINITY });
}, 300_000);
