// Four hundred rounds of random faults between dirmfa and a directory. The first seed is printed and may be set, to see a
// failure again: FAULT_SEED=123 npm run test:interop -- random-faults

import { randomInt } from "node:crypto";
import { expect, test } from "vitest";
import { type FaultOutcome, runFaultRounds } from "../support/random-faults.ts";

const rounds = 400;
// Two at a time: a round mostly waits, for a worker to start or a line to stay silent.
const lanes = 2;

test("whatever the line does, the store is as before or as the directory now: 400 rounds", async () => {
  const firstSeed = Number(process.env.FAULT_SEED ?? randomInt(1, 1_000_000_000));
  console.log(`FAULT_SEED=${firstSeed}`);
  const share = rounds / lanes;
  const outcomes = await Promise.all(
    Array.from({ length: lanes }, (_, lane) =>
      runFaultRounds({ firstSeed: firstSeed + lane * share, rounds: share }),
    ),
  );
  const count = ({ succeeded, failed }: FaultOutcome) =>
    Object.values(failed).reduce((sum, times) => sum + times, succeeded);
  expect(outcomes.reduce((sum, outcome) => sum + count(outcome), 0)).toBe(rounds);
  console.log(JSON.stringify(outcomes));
}, 900_000);
