// Rule 3: which sign-in names are one name, whatever the alphabet.

import fc from "fast-check";
import { expect, test } from "vitest";
import { isUsableUsername, usernameKeyOf, usernameMaxLength } from "../src/username.ts";

test.each([
  ["case", "Anna", "aNNA"],
  ["spaces around it", "  anna\u3000", "anna"],
  ["a no-break space", "anna\u00a0smith", "anna smith"],
  ["a ligature", "\ufb00inn", "ffinn"],
  ["wide letters", "\uff21nna", "anna"],
  ["an accent in one code point or two", "ren\u00e9", "rene\u0301"],
  ["a dotted capital I", "\u0130pek", "i\u0307pek"],
  ["a capital sigma at the end", "\u039d\u03a3", "\u03bd\u03c2"],
])("names that differ in %s are one", (_, one, other) => {
  expect(usernameKeyOf(one)).toBe(usernameKeyOf(other));
});

test.each([
  ["\u00df and ss", "stra\u00dfe", "strasse"],
  ["a dotted and a dotless i", "i\u015fik", "\u0131\u015fik"],
  ["an accent", "rene", "ren\u00e9"],
  ["letters of two alphabets that look alike", "anna", "\u0430nna"],
])("names that differ in %s are two", (_, one, other) => {
  expect(usernameKeyOf(one)).not.toBe(usernameKeyOf(other));
});

test("the matching form of a matching form is itself, and hides nothing", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 20 }), (name) => {
      fc.pre(isUsableUsername(name));
      const key = usernameKeyOf(name);
      expect(usernameKeyOf(key)).toBe(key);
      expect(isUsableUsername(key)).toBe(true);
    }),
    { numRuns: 5000 },
  );
});

test.each([
  ["NUL", "an\0na", false],
  ["a line feed", "anna\n", false],
  ["a soft hyphen", "an\u00adna", false],
  ["nothing visible", "\u3164", false],
  ["1,024 characters", "x".repeat(usernameMaxLength), true],
  ["one more", "x".repeat(usernameMaxLength + 1), false],
])("a name with %s can be used: %#", (_, name, isUsable) => {
  expect(isUsableUsername(name)).toBe(isUsable);
});
