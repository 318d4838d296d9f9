// Random faults between dirmfa and a directory; test/interop/random-faults.test.ts runs many more of them.

import { expect, test } from "vitest";
import { runFaultRounds } from "../support/random-faults.ts";

// `npm run test:interop` does many more, from other seeds.
test("whatever the line does, the store is as before or as the directory now: 8 rounds", async () => {
  const { succeeded, failed } = await runFaultRounds({ firstSeed: 1, rounds: 8 });
  expect(succeeded).toBeGreaterThan(0);
  expect(Object.keys(failed).length).toBeGreaterThan(0);
}, 120_000);
