// The odds of guessing that the documents state are those of the default settings (rule 19), against the cleverest guesser.

import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { parseDuration } from "../../src/config/formats.ts";
import { parseConfig } from "../../src/config/parse-config.ts";

const page = (path: string) => readFile(new URL(`../../docs/${path}`, import.meta.url), "utf8");
const { file } = parseConfig({ text: "{}", path: "/etc/dirmfa/dirmfa.yaml", env: {} });
if (file === undefined) throw new Error("the defaults are no configuration");
const { lockout, totp } = file.mfa;

const dayMs = 86_400_000;
const yearMs = 365 * dayMs;
// So many lockouts in a row last for the maximum each, whatever the settings.
const levels = 60;

function lockoutMs(level: number): number {
  return Math.min((parseDuration(lockout.first) ?? 0) * 2 ** level, parseDuration(lockout.maximum) ?? 0);
}

/** Guesses in a year against a user who never signs in, each at the first moment it is looked at. */
function guessesAlone(): number {
  let guesses = 0;
  for (let [atMs, level] = [0, 0]; atMs < yearMs; level++) {
    guesses += lockout.failures;
    atMs += lockoutMs(level);
  }
  return guesses;
}

/**
 * The most guesses that can be made in a year against a user who signs in at even intervals, by one who knows when: for
 * every level of the doubling and from the last sign-in back to the first, the best of all numbers of lockouts before the next
 * success, with and without the guesses that stop short of another one. Only a success with nothing before it takes the
 * doubling back.
 */
function mostGuesses(signInsPerDay: number): number {
  const intervalMs = dayMs / signInsPerDay;
  const signIns = 365 * signInsPerDay;
  const best = Array.from({ length: signIns + 1 }, () => new Array<number>(levels + 1).fill(0));
  const bestFrom = (signIn: number, level: number) => best[signIn]?.[Math.min(level, levels)] ?? 0;
  for (let signIn = signIns - 1; signIn >= 0; signIn--) {
    best[signIn] = Array.from({ length: levels + 1 }, (_, level) => {
      let most = bestFrom(signIn + 1, Math.max(0, level - 1));
      for (let [lockouts, lockedMs] = [0, 0]; ; lockouts++) {
        // The user who is locked out when signing in comes back at the next time.
        const next = signIn + Math.floor(lockedMs / intervalMs) + 1;
        if (next > signIns) return Math.max(most, lockouts * lockout.failures);
        // More in one go than from no lockout to the longest gains nothing over waiting.
        if (lockouts > 12) return most;
        const guesses = lockouts * lockout.failures + lockout.failures - 1;
        most = Math.max(most, guesses + bestFrom(next, level + lockouts));
        lockedMs += lockoutMs(level + lockouts);
      }
    });
  }
  return best[0]?.[0] ?? 0;
}

const rounded = (guesses: number) => (Math.round(guesses / 100) * 100).toLocaleString("en");
const percent = (guesses: number) => `${((guesses * (2 * totp.window + 1) * 100) / 1_000_000).toFixed(1)} %`;

test("a user who signs in up to twice a day is guessed no sooner than one who never does", () => {
  expect(Math.max(mostGuesses(1), mostGuesses(2))).toBeLessThanOrEqual(guessesAlone());
});

test("record 10 states guesses and chance for a user who seldom signs in, and for ones who often do", async () => {
  const record = await page("decisions/0010-lockout.md");
  const rows = Array.from(
    record.matchAll(/^\| [^|]*? \| ([\d,]+) \| ([\d.]+ %) \|$/gm),
    ([, ...cells]) => cells,
  );
  const wanted = [guessesAlone(), mostGuesses(5), mostGuesses(10)];
  expect(rows).toEqual(wanted.map((guesses) => [rounded(guesses), percent(guesses)]));
});

test("the threat model states the same chance", async () => {
  expect(await page("threat-model.md")).toContain(
    `**${percent(guessesAlone())} a year** for a user who signs in up to twice a day, ${percent(mostGuesses(5))} at five times`,
  );
});
