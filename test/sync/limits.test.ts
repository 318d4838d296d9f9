// When a run is held, as a pure decision (rule 6).

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { usualLimits } from "../../scripts/servers/usual-limits.ts";
import {
  decideHold,
  type MeasureName,
  measureNames,
  measures,
  nothingMeasured,
  type PlanFacts,
  sumOfDay,
} from "../../src/sync/limits.ts";

const quiet: PlanFacts = {
  measured: nothingMeasured(),
  earlier: nothingMeasured(),
  stored: { active: 1000, disabled: 100, live: 1100, required: 900 },
  usable: 1000,
  listed: 1000,
  emptiedBases: [],
  knownElsewhere: [],
  lostGroups: [],
  groupsStored: 0,
  groupsListed: 0,
};
const holds = (facts: Partial<PlanFacts>, limits = usualLimits) => decideHold({ ...quiet, ...facts }, limits);
const codes = (facts: Partial<PlanFacts>, limits = usualLimits) =>
  holds(facts, limits).map((hold) => hold.code);
const measured = (name: MeasureName, users: number) => ({ ...nothingMeasured(), [name]: users });

describe.each(measureNames)("the limit on %s", (name) => {
  const { limit, of, code } = measures[name];
  const limits = { ...usualLimits, [limit]: { count: 10, percent: 5 } };
  const stored = (users: number) => ({ active: users, disabled: users, live: users, required: users });

  test("holds only when both numbers are passed", () => {
    expect(codes({ measured: measured(name, 50), stored: stored(1000) }, limits)).toEqual([]); // exactly 5 %
    expect(codes({ measured: measured(name, 51), stored: stored(1000) }, limits)).toEqual([code]);
    expect(codes({ measured: measured(name, 10), stored: stored(10) }, limits)).toEqual([]); // exactly 10 users
    expect(codes({ measured: measured(name, 11), stored: stored(12) }, limits)).toEqual([code]);
    expect(codes({ measured: measured(name, 11), stored: stored(1000) }, limits)).toEqual([]); // few of all
  });

  test("takes the runs of the last day together, but holds no run that adds nothing to them", () => {
    const earlier = measured(name, 8);
    expect(codes({ measured: measured(name, 2), earlier, stored: stored(12) }, limits)).toEqual([]);
    expect(codes({ measured: measured(name, 3), earlier, stored: stored(12) }, limits)).toEqual([code]);
    expect(codes({ earlier: measured(name, 500), stored: stored(12) }, limits)).toEqual([]);
    const text = holds({ measured: measured(name, 3), earlier, stored: stored(12) }, limits)[0]?.text;
    expect(text).toContain(`3 of 20 ${of === "live" ? "" : `${of} `}users, after 8 in the last 24 hours`);
  });

  test("never holds a plan less for doing more", () => {
    fc.assert(
      fc.property(fc.nat(5000), fc.nat(5000), fc.nat(100), (users, more, percent) => {
        const held = (count: number) =>
          codes({ measured: measured(name, count) }, { ...usualLimits, [limit]: { count: 10, percent } })
            .length > 0;
        expect(held(users) && !held(users + more)).toBe(false);
      }),
    );
  });
});

test("everybody removed is told with one number of each kind, not with more than there are", () => {
  const all = { ...nothingMeasured(), removals: 1978, allRemovals: 1996 };
  const [hold, ...rest] = holds({
    measured: all,
    stored: { active: 1978, disabled: 18, live: 1996, required: 0 },
  });
  expect(rest).toEqual([]);
  expect(hold?.text).toMatch(/^The plan removes 1978 of 1978 active users;/);
});

test("disabled users who are removed count as a share of all, for a directory may have many more of them", () => {
  const stored = { active: 10, disabled: 990, live: 1000, required: 0 };
  expect(codes({ measured: measured("allRemovals", 50), stored })).toEqual([]);
  expect(codes({ measured: measured("allRemovals", 51), stored })).toEqual(["too-many-removals"]);
});

test("an empty listing is held even where only one user is stored", () => {
  const one = { active: 1, disabled: 0, live: 1, required: 0 };
  expect(codes({ listed: 0, measured: measured("removals", 1), stored: one })).toEqual(["listing-empty"]);
  expect(codes({ listed: 0, stored: { active: 0, disabled: 0, live: 0, required: 0 } })).toEqual([]);
});

test("a base without users is held, however few it had", () => {
  expect(codes({ emptiedBases: [{ base: "ou=b", removals: 1 }] })).toEqual(["base-empty"]);
});

test.each(["gone", "empty", "replaced"] as const)(
  "a required group that is %s is held, and told with its DN",
  (how) => {
    const [hold] = holds({ lostGroups: [{ name: "Finance", dn: "cn=finance", how, isInner: false }] });
    expect(hold).toMatchObject({
      code: "required-group-lost",
      text: expect.stringContaining("Finance (cn=finance)"),
    });
  },
);

test("an empty group listing is held where groups are stored", () => {
  expect(codes({ groupsStored: 3, groupsListed: 0 })).toEqual(["group-listing-empty"]);
  expect(codes({ groupsStored: 3, groupsListed: 1 })).toEqual([]);
});

test("an approval lets its measure begin anew, and no other", () => {
  const sum = sumOfDay([
    { measured: { removals: 9, renames: 4 }, approvedHolds: [] },
    { measured: { removals: 2 }, approvedHolds: ["too-many-removals"] },
    { measured: { removals: 1, renames: 1 }, approvedHolds: [] },
  ]);
  expect(sum).toEqual({ ...nothingMeasured(), removals: 3, renames: 5 });
});
