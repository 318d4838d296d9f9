// Full and incremental runs at random over a directory that changes (rule 25): see what must hold in
// test/support/random-increments.ts. `npm run test:properties` does many more, and counts what came up.

import { test } from "vitest";
import { runIncrementRounds } from "../support/random-increments.ts";

test("an incremental run sees who is there and removes nobody, and a full one makes both equal: 8 rounds", async () => {
  await runIncrementRounds({ seed: 1, rounds: 8, endsAt: Number.POSITIVE_INFINITY });
}, 600_000);
