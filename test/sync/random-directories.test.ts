// Hostile directories at random (rules 1, 3, 8): see what must hold in test/support/random-directories.ts. `npm run test:properties`
// does many more, and counts what came up.

import { test } from "vitest";
import { runDirectoryRounds } from "../support/random-directories.ts";

test("nobody unreadable is enabled, and nobody in the directory is removed: 8 rounds", async () => {
  await runDirectoryRounds({ seed: 1, rounds: 8, endsAt: Number.POSITIVE_INFINITY });
}, 600_000);
