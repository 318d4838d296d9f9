// Whatever is broken, commands answer in words: no stack, no SQL. And `check` finds whatever stops a start. Every command is tried in
// some situations and with some odd values here; test/properties tries each in all of them and with all.

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
const situations = situationsWith(taken.port).map((situation, number) => ({ ...situation, number }));

// Commands of one domain stand together in the list, so that each situation has one of each.
const everyNth = 8;

test.each(situations)(
  "when $name, commands say so, and check finds what stops a start",
  async ({ number, ...situation }) => {
    const commands = await commandsWith("nobody");
    await tryInSituation(
      situation,
      commands.filter((_, position) => (position + number) % everyNth === 0),
    );
  },
);

/** Each value is tried with the others of its kind: every so manyth option or command has it, and another one the next. */
const odd = [
  ...oddOptions.map((value, turn) => ({ value, turn, of: oddOptions.length, all: optionsWith })),
  ...oddArguments.map((value, turn) => ({ value, turn, of: oddArguments.length, all: commandsWith })),
];

test.each(odd)("the odd value $value is told in words", async ({ value, turn, of, all }) => {
  const tried = (await all(value)).filter((_, position) => position % of === turn);
  await inSituation({ name: "nothing is broken", start: 1 }, async (dirmfa) => {
    for (const args of tried) expectWords(args, await dirmfa(...args));
  });
});
