// Work that a daemon repeats: one round at a time, and none after its end.

import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { pauseAfter, startRounds } from "../src/rounds.ts";

test("a round begins only when the one before and the pause are over", async () => {
  let underWay = 0;
  let most = 0;
  let count = 0;
  const rounds = startRounds({
    async round() {
      underWay += 1;
      most = Math.max(most, underWay);
      await sleep(5);
      underWay -= 1;
      count += 1;
    },
    pauseMs: () => 1,
    atOnce: true,
  });
  while (count < 4) await sleep(1);
  await rounds.stop();
  expect(most).toBe(1);
});

test("after the end no round begins, and one that was under way is over", async () => {
  let begun = 0;
  let ended = 0;
  const rounds = startRounds({
    async round() {
      begun += 1;
      await sleep(20);
      ended += 1;
    },
    pauseMs: () => 1,
    atOnce: true,
  });
  await rounds.stop();
  await sleep(20);
  expect([begun, ended]).toEqual([1, 1]);
});

test("without a wish to begin at once the pause comes first", async () => {
  let begun = 0;
  const rounds = startRounds({
    async round() {
      begun += 1;
    },
    pauseMs: () => 60_000,
  });
  await rounds.stop();
  expect(begun).toBe(0);
});

test("the pause after a failure doubles up to its limit", () => {
  const limits = { firstMs: 2_000, longestMs: 10_000 };
  expect([0, 1, 2, 3, 4, 2_000].map((failures) => pauseAfter(failures, limits))).toEqual([
    0, 2_000, 4_000, 8_000, 10_000, 10_000,
  ]);
});
