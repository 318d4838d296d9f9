// How passwords tried are counted: in time, by network, and without filling the memory.

import { expect, test } from "vitest";
import { createAttempts, networkOf } from "../../src/console/attempts.ts";
import { TestClock } from "../verification/verification-world.ts";

const minute = 60_000;
const limit = { most: 2, withinMs: 15 * minute };

test("each attempt counts for its time, and the wait is told to the second", () => {
  const clock = new TestClock();
  const attempts = createAttempts(limit, clock);
  expect(attempts.take("anna")).toBe(0);
  clock.step(10);
  expect(attempts.take("anna")).toBe(0);
  expect(attempts.take("anna")).toBe(600);
  expect(attempts.take("ben")).toBe(0);
  clock.step(20);
  expect(attempts.take("anna")).toBe(0);
  expect(attempts.take("anna")).toBe(300);
});

test("attempts of the future, after a clock was set back, do not count", () => {
  const clock = new TestClock();
  const attempts = createAttempts({ ...limit, most: 1 }, clock);
  expect(attempts.take("anna")).toBe(0);
  clock.step(-1);
  expect(attempts.take("anna")).toBe(0);
});

test("made-up names push out the oldest keys, and not one that is still being tried", () => {
  const attempts = createAttempts(limit, new TestClock());
  attempts.take("forgotten");
  attempts.take("forgotten");
  attempts.take("tried");
  attempts.take("tried");
  for (let n = 0; n < 40_000; n += 1) {
    attempts.take(`name${n}`);
    if (n % 1_000 === 0) expect(attempts.take("tried")).toBeGreaterThan(0);
  }
  expect(attempts.take("forgotten")).toBe(0);
  expect(attempts.take("tried")).toBeGreaterThan(0);
});

test.each([
  ["192.0.2.7", "192.0.2.7"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
  ["2001:db8:1:2::1", "2001:db8:1:2"],
  ["2001:0db8:0001:0002::", "2001:db8:1:2"],
  ["2001:db8::1", "2001:db8:0:0"],
  ["::1", "0:0:0:0"],
  ["fe80::1%eth0", "fe80:0:0:0"],
])("%s is of the network %s", (address, network) => {
  expect(networkOf(address)).toBe(network);
});
