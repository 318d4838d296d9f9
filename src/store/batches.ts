// Work that arrives together, done together (rule 33): one statement and one commit for all that came while the one before was
// under way. Nothing is delayed to make a batch: what comes alone is done at once. Knows no statement.

import { isDatabaseUnavailable } from "./database-errors.ts";

export interface BatchOptions<Item, Answer> {
  /**
   * Answers in the order of the items; one that takes longer than the batch is a promise. All or nothing: when it throws, nothing of
   * it was done.
   */
  run(items: readonly Item[]): Promise<(Answer | Promise<Answer>)[]>;
  /** How many run at the same time; one more is made up while they do. */
  running: number;
  /** The most items of one batch: those behind it must not wait too long for it. */
  most: number;
  /** Items of one key are never under way together, and keep their order: the next one is taken when the one before has its answer. */
  keyOf?(item: Item): string;
  /** Asked when the item's turn has come: the error that it ends with in place of being done. */
  refusalOf?(item: Item): Error | undefined;
}

interface Waiting<Item, Answer> extends PromiseWithResolvers<Answer> {
  item: Item;
}

/** Gives back what does one item, in a batch with others where there are any. */
export function createBatches<Item, Answer>(
  options: BatchOptions<Item, Answer>,
): (item: Item) => Promise<Answer> {
  let line: Waiting<Item, Answer>[] = [];
  const keysUnderWay = new Set<string>();
  let running = 0;
  let isDue = false;

  // After everything that has arrived by now was read from its sockets: microseconds, and no timer.
  const becomeDue = () => {
    if (isDue || running >= options.running || line.length === 0) return;
    isDue = true;
    setImmediate(() => {
      isDue = false;
      void runNext();
    });
  };

  const runNext = async () => {
    const batch = takeBatch();
    if (batch.length === 0) return;
    running += 1;
    try {
      await runBatch(batch, options);
    } finally {
      running -= 1;
      becomeDue();
    }
  };

  const takeBatch = () => {
    const batch: Waiting<Item, Answer>[] = [];
    const left: Waiting<Item, Answer>[] = [];
    for (const waiting of line) {
      const key = options.keyOf?.(waiting.item);
      if (batch.length >= options.most || (key !== undefined && keysUnderWay.has(key))) {
        left.push(waiting);
        continue;
      }
      const refusal = options.refusalOf?.(waiting.item);
      if (refusal) {
        waiting.reject(refusal);
        continue;
      }
      if (key !== undefined) holdKey(key, waiting.promise);
      batch.push(waiting);
    }
    line = left;
    return batch;
  };

  // Until the answer, which may take longer than the batch.
  const holdKey = (key: string, answer: Promise<Answer>) => {
    keysUnderWay.add(key);
    const release = () => {
      keysUnderWay.delete(key);
      becomeDue();
    };
    answer.then(release, release);
  };

  return (item) => {
    const waiting = { item, ...Promise.withResolvers<Answer>() };
    line.push(waiting);
    becomeDue();
    return waiting.promise;
  };
}

async function runBatch<Item, Answer>(
  batch: readonly Waiting<Item, Answer>[],
  { run }: BatchOptions<Item, Answer>,
): Promise<void> {
  try {
    const answers = await run(batch.map(({ item }) => item));
    if (answers.length !== batch.length)
      throw new Error("a batch answered for other items than it was asked");
    // One answer an item, as was counted.
    for (const [index, waiting] of batch.entries())
      waiting.resolve(answers[index] as Answer | Promise<Answer>);
  } catch (error) {
    // Of a batch whose connection broke nobody knows whether it was committed: asked again, a code would be called spent.
    const isOver = batch.length === 1 || isDatabaseUnavailable(error);
    // Otherwise nothing of it was done; each is done alone, to find the one that fails.
    await Promise.all(
      batch.map((waiting) =>
        isOver ? waiting.reject(error) : runBatch([waiting], { run, running: 1, most: 1 }),
      ),
    );
  }
}
