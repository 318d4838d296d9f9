// What comes between the statements of two flows that take a code of one user, and change the user's authenticator by it (rules 14, 15,
// 18 and 24): one of the flows might as well have come after the other. All other flows meet in test/properties.

import { expect, test } from "vitest";
import { searchInterleavings } from "./interleaving-search.ts";

test("flows that take codes of one user may come between each other's statements: it is as if one came after the other", async () => {
  const { wrong, tried, deadlocks } = await searchInterleavings({
    replacing: ["replace", "confirm", "disable", "verifyTotp"],
  });
  expect(wrong.slice(0, 3).join("\n"), `${wrong.length} of ${tried} interleavings`).toBe("");
  // Else the gate held nothing.
  expect(tried).toBeGreaterThan(60);
  expect(deadlocks).toBe(0);
}, 240_000); // some ten seconds where nothing else runs
