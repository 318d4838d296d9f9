// Every two flows on one user in each other's way, between every two statements: see test/verification/interleaving-search.ts. Of these
// test/verification/interleavings.postgres.test.ts tries in every run those that spend codes of one authenticator.

import { expect, test } from "vitest";
import type { FlowName, StateName } from "../verification/interleaved-flows.ts";
import { searchInterleavings } from "../verification/interleaving-search.ts";

/** The flows that meet in a state: those that do something there. */
const flowsIn: Record<StateName, FlowName[]> = {
  begun: ["begin", "confirm", "disableByAdmin", "unlock", "remove", "rotate", "settleRestored"],
  enrolled: [
    ...(["begin", "replace", "replaceWithBackupCode", "disable", "disableByAdmin"] as const),
    ...(["disableInDirectory", "renameDirectory"] as const),
  ],
  replacing: [
    ...([
      "replace",
      "replaceWithBackupCode",
      "confirm",
      "disable",
      "regenerate",
      "verifyTotp",
      "verifyBackupCode",
    ] as const),
    ...(["disableByAdmin", "unlock", "require", "remove", "rotate", "settleRestored"] as const),
    ...(["disableInDirectory", "renameDirectory"] as const),
  ],
  withPass: ["beginWithPass", "issuePass", "confirm", "disableByAdmin", "settleRestored"],
  removed: ["purge", "restore", "verifyTotp", "disableByAdmin", "unlock", "confirm"],
};

test("whatever two flows of one user come between each other's statements, it is as if one came after the other", async () => {
  const { wrong, tried, deadlocks } = await searchInterleavings(flowsIn);
  expect(wrong.slice(0, 3).join("\n"), `${wrong.length} of ${tried} interleavings`).toBe("");
  // Else the gate held nothing.
  expect(tried).toBeGreaterThan(900);
  expect(deadlocks).toBe(0);
}); // some two minutes on two cores
