// Which word was probably meant. Pure.

/** The word nearest to `typed`, or undefined when none is near enough to be worth suggesting. */
export function closestWord(typed: string, words: readonly string[]): string | undefined {
  // Longer than any key: not a typing mistake, and the table below grows with the length.
  if (typed.length > 64) return undefined;
  const ranked = words
    .map((word) => ({ word, distance: editDistance(plain(typed), plain(word)) }))
    .toSorted((a, b) => a.distance - b.distance);
  const best = ranked[0];
  // Up to a third of the letters may differ: `pasword`, `retension`; but `foo` is no `dn`.
  return best !== undefined && best.distance <= Math.max(1, best.word.length / 3) ? best.word : undefined;
}

// time_zone and time-zone are timeZone.
function plain(word: string): string {
  return word.replaceAll(/[_-]/g, "").toLowerCase();
}

/** Levenshtein: letters to insert, drop or replace to get from one word to the other. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...to].entries()) {
      const replaced = (row[j] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
