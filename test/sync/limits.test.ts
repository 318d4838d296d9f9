// When a run is held, as a pure decision (rule 6).

import fc from "fast-check";
import { expect, test } from "vitest";
import { decideHold, type PlanFacts } from "../../src/sync/limits.ts";

const limits = { removals: { count: 10, percent: 5 } };
const quiet: PlanFacts = {
  removals: 0,
  active: 1000,
  live: 1000,
  listed: 1000,
  namesUnderNewIds: 0,
  groupsStored: 0,
  groupsListed: 0,
};
const codes = (facts: Partial<PlanFacts>) =>
  decideHold({ ...quiet, ...facts }, limits).map((hold) => hold.code);

test("a run is held only when both removal limits are passed", () => {
  expect(codes({ removals: 50 })).toEqual([]); // exactly 5 %
  expect(codes({ removals: 51 })).toEqual(["too-many-removals"]);
  expect(codes({ removals: 10, active: 10, live: 10 })).toEqual([]); // exactly 10 users
  expect(codes({ removals: 11, active: 12, live: 12 })).toEqual(["too-many-removals"]);
  expect(codes({ removals: 11, active: 1000 })).toEqual([]); // many, but few of all
});

test("an empty listing is held even where only one user is stored", () => {
  expect(codes({ listed: 0, removals: 1, active: 1, live: 1 })).toEqual(["listing-empty"]);
  expect(codes({ listed: 0, removals: 0, active: 0, live: 0 })).toEqual([]);
});

test("many known names under new ids are held", () => {
  expect(codes({ namesUnderNewIds: 51 })).toEqual(["names-under-new-ids"]);
  expect(codes({ namesUnderNewIds: 2 })).toEqual([]);
});

test("an empty group listing is held where groups are stored", () => {
  expect(codes({ groupsStored: 3, groupsListed: 0 })).toEqual(["group-listing-empty"]);
  expect(codes({ groupsStored: 3, groupsListed: 1 })).toEqual([]);
});

test("more removals are never held less", () => {
  fc.assert(
    fc.property(fc.nat(5000), fc.nat(5000), fc.nat(100), (removals, more, percent) => {
      const held = (count: number) =>
        decideHold({ ...quiet, removals: count }, { removals: { count: 10, percent } }).length > 0;
      expect(held(removals) && !held(removals + more)).toBe(false);
    }),
  );
});
