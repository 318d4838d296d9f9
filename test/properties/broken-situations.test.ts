// Whatever is broken, every command answers in words: no stack, no SQL. All commands in all situations, and each with every odd value;
// test/cli/broken-situations.test.ts tries some of them in every run.

import { afterAll, test } from "vitest";
import {
  commandsWith,
  expectWords,
  inSituation,
  oddArguments,
  oddOptions,
  optionsWith,
  situationsWith,
  startAnotherProgram,
  tryInSituation,
} from "../support/broken-situations.ts";

const taken = await startAnotherProgram();
afterAll(() => taken.close());

test.each(situationsWith(taken.port))("when $name, every command says so", async (situation) => {
  await tryInSituation(situation, await commandsWith("nobody"));
});

const odd = [
  ...oddOptions.map((value) => ({ value, all: optionsWith })),
  ...oddArguments.map((value) => ({ value, all: commandsWith })),
];

test.each(odd)("the odd value $value is told in words", async ({ value, all }) => {
  await inSituation({ name: "nothing is broken", start: 1 }, async (dirmfa) => {
    for (const args of await all(value)) expectWords(args, await dirmfa(...args));
  });
});
