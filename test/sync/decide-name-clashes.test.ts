// Who loses a contested username (rule 3), as a fixed point: the same as taking losers out round after round.

import fc from "fast-check";
import { expect, test } from "vitest";
import { type ContestedClaim, decideNameClashes } from "../../src/sync/decide-name-clashes.ts";

/** The rule word for word: until nobody more loses, whoever claims the name of a loser loses. */
function roundAfterRound(claims: readonly ContestedClaim[]): Set<string> {
  const losing = new Set(claims.filter(({ loses }) => loses).map(({ directoryId }) => directoryId));
  for (let before = -1; before < losing.size; ) {
    before = losing.size;
    for (const { directoryId, holderId } of claims) {
      if (holderId !== null && losing.has(holderId)) losing.add(directoryId);
    }
  }
  return losing;
}

test("any claims, cycles included, are decided as round after round", () => {
  const id = fc.integer({ min: 0, max: 12 }).map(String);
  const claim = fc.record({
    directoryId: id,
    holderId: fc.option(id),
    loses: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(claim, { maxLength: 15 }), (claims) => {
      const losing = decideNameClashes(claims);
      expect(new Set(losing)).toEqual(roundAfterRound(claims));
      expect(losing).toHaveLength(new Set(losing).size);
    }),
  );
});

test("a chain of 200,000 is one walk", () => {
  const chain = Array.from({ length: 200_000 }, (_, n) => ({
    directoryId: `${n}`,
    holderId: `${n + 1}`,
    loses: n === 199_999,
  }));
  const startedAt = performance.now();
  expect(decideNameClashes(chain)).toHaveLength(200_000);
  expect(performance.now() - startedAt).toBeLessThan(5000);
});
