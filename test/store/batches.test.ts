// Batches: what comes while others are under way goes together, what comes alone goes at once, and nobody pays for another.

import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { AppError } from "../../src/errors.ts";
import { createBatches } from "../../src/store/batches.ts";

/** Batches that end when they are told. */
function heldBatches(options: { most?: number; keyOf?: (item: string) => string } = {}) {
  const begun: { items: readonly string[]; end: PromiseWithResolvers<void> }[] = [];
  const ask = createBatches<string, string>({
    running: 1,
    most: 10,
    ...options,
    async run(items) {
      const end = Promise.withResolvers<void>();
      begun.push({ items, end });
      await end.promise;
      return items.map((item) => item.toUpperCase());
    },
  });
  const endNext = async (error?: Error) => {
    const { items, end } = begun.shift() ?? { items: [], end: Promise.withResolvers<void>() };
    if (error) end.reject(error);
    else end.resolve();
    for (let turns = 0; turns < 3; turns++) await turn();
    return items;
  };
  return { ask, endNext };
}

test("what comes alone goes at once, and all that comes meanwhile goes together after it", async () => {
  const { ask, endNext } = heldBatches();
  const answers = [ask("a")];
  await turn();
  answers.push(ask("b"), ask("c"));
  await turn();
  answers.push(ask("d"));
  expect(await endNext()).toEqual(["a"]);
  expect(await endNext()).toEqual(["b", "c", "d"]);
  expect(await Promise.all(answers)).toEqual(["A", "B", "C", "D"]);
});

test("a batch is no longer than its bound", async () => {
  const { ask, endNext } = heldBatches({ most: 2 });
  const answers = ["a", "b", "c"].map(ask);
  await turn();
  expect(await endNext()).toEqual(["a", "b"]);
  expect(await endNext()).toEqual(["c"]);
  expect(await Promise.all(answers)).toEqual(["A", "B", "C"]);
});

test("two of one key never share a batch, and keep their order", async () => {
  const { ask, endNext } = heldBatches({ keyOf: (item) => item.charAt(0) });
  const answers = ["a1", "b1", "a2", "a3"].map(ask);
  await turn();
  expect(await endNext()).toEqual(["a1", "b1"]);
  expect(await endNext()).toEqual(["a2"]);
  expect(await endNext()).toEqual(["a3"]);
  expect(await Promise.all(answers)).toEqual(["A1", "B1", "A2", "A3"]);
});

test("one whose answer takes longer than its batch keeps back its key alone", async () => {
  const slow = Promise.withResolvers<string>();
  const begun: string[] = [];
  const ask = createBatches<string, string>({
    running: 1,
    most: 10,
    keyOf: (item) => item.charAt(0),
    async run(items) {
      begun.push(...items);
      return items.map((item) => (item === "a1" ? slow.promise : item));
    },
  });
  const answers = ["a1", "a2"].map(ask);
  expect(await ask("b1")).toBe("b1");
  expect(await ask("b2")).toBe("b2");
  expect(begun).toEqual(["a1", "b1", "b2"]);
  slow.resolve("a1");
  expect(await Promise.all(answers)).toEqual(["a1", "a2"]);
});

test("where a batch fails each is done alone, and only the one to blame fails", async () => {
  const ask = createBatches<string, string>({
    running: 1,
    most: 10,
    async run(items) {
      if (items.includes("bad")) throw new Error("refused");
      return [...items];
    },
  });
  const outcomes = await Promise.allSettled(["a", "bad", "b"].map(ask));
  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
});

test("where the database is lost nothing is tried again, since nobody knows what it did", async () => {
  let runs = 0;
  const ask = createBatches<string, string>({
    running: 1,
    most: 10,
    async run() {
      runs += 1;
      throw new AppError("database-unavailable", "gone");
    },
  });
  const outcomes = await Promise.allSettled(["a", "b"].map(ask));
  expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(runs).toBe(1);
});

test("what nobody wants any more when its turn comes is not done", async () => {
  const gone = new Set<string>();
  const done: string[] = [];
  const ask = createBatches<string, string>({
    running: 1,
    most: 10,
    refusalOf: (item) => (gone.has(item) ? new AppError("aborted", "gone") : undefined),
    async run(items) {
      done.push(...items);
      return [...items];
    },
  });
  const answers = ["a", "b"].map(ask);
  gone.add("b");
  const outcomes = await Promise.allSettled(answers);
  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  expect(done).toEqual(["a"]);
});
