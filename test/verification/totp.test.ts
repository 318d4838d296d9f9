// Which code is right at which moment: RFC 6238's vectors, the window and its edges (rule 16).

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalTotp } from "../../src/verification/codes.ts";
import { base32Of, matchTotpStep, timeStepAt } from "../../src/verification/totp.ts";
import { secretOf, stepMs, totpOf } from "./verification-world.ts";

const rfcSecret = Buffer.from("12345678901234567890");
const now = new Date("2026-03-01T12:00:10Z");
const present = timeStepAt(now);
const codeAt = (steps: number) => totpOf(rfcSecret, new Date(now.getTime() + steps * stepMs));

// RFC 4226, appendix D: the code of counters 0 to 9.
test.each(
  ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"].map(
    (code, counter) => [counter, code] as const,
  ),
)("the RFC 4226 code of counter %i is %s", (counter, code) => {
  expect(matchTotpStep(rfcSecret, code, new Date(counter * stepMs), 0)).toBe(counter);
});

// RFC 6238, appendix B, SHA-1: eight digits there, of which these are the last six.
test.each([
  [59, "287082"],
  [1111111109, "081804"],
  [1111111111, "050471"],
  [1234567890, "005924"],
  [2000000000, "279037"],
  [20000000000, "353130"],
])("the RFC 6238 code at second %i is %s", (seconds, code) => {
  expect(matchTotpStep(rfcSecret, code, new Date(seconds * 1000), 0)).toBe(Math.floor(seconds / 30));
});

describe.each([0, 1, 2])("with a window of %i steps", (window) => {
  test("the codes at its edges match their own steps", () => {
    expect(matchTotpStep(rfcSecret, codeAt(-window), now, window)).toBe(present - window);
    expect(matchTotpStep(rfcSecret, codeAt(window), now, window)).toBe(present + window);
  });

  test("the codes one step beyond its edges match nothing", () => {
    expect(matchTotpStep(rfcSecret, codeAt(-window - 1), now, window)).toBeUndefined();
    expect(matchTotpStep(rfcSecret, codeAt(window + 1), now, window)).toBeUndefined();
  });
});

test("a code changes at the very millisecond its period begins", () => {
  const begin = new Date(present * stepMs);
  expect(matchTotpStep(rfcSecret, totpOf(rfcSecret, begin), begin, 0)).toBe(present);
  expect(
    matchTotpStep(rfcSecret, totpOf(rfcSecret, begin), new Date(begin.getTime() - 1), 0),
  ).toBeUndefined();
});

test("a code that two steps of the window share is taken for the later one, and so is used up for both", () => {
  // Found by search: the steps 153567 and 153569 of this secret have the same code.
  const at = new Date(153_568 * stepMs);
  expect(totpOf(rfcSecret, new Date(153_567 * stepMs))).toBe("468457");
  expect(matchTotpStep(rfcSecret, "468457", at, 1)).toBe(153_569);
});

test("no input makes the match throw", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.constant(undefined)), (typed) => {
      const step = matchTotpStep(rfcSecret, typed, now, 2);
      expect(step === undefined || typeof step === "number").toBe(true);
    }),
  );
});

test("any secret's own code matches at its step, at any time", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 20, maxLength: 20 }),
      fc.integer({ min: 0, max: 4_000_000_000 }),
      (bytes, seconds) => {
        const at = new Date(seconds * 1000);
        const secret = Buffer.from(bytes);
        expect(matchTotpStep(secret, totpOf(secret, at), at, 0)).toBe(timeStepAt(at));
      },
    ),
  );
});

test("a secret comes back from its base 32", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), (bytes) => {
      const text = base32Of(bytes);
      expect(text).toMatch(/^[A-Z2-7]{32}$/);
      expect(secretOf(text)).toEqual(Buffer.from(bytes));
    }),
  );
});

test.each([
  ["123456", "123456"],
  [" 123 456 ", "123456"],
  ["123-456", "123456"],
  ["12\u201334\u221256", "123456"], // en dash, minus
  ["1\u00a02\u20093\u30004\u200b5\u202f6", "123456"], // no-break, thin, ideographic, zero-width, narrow space
  ["\t123456\r\n", "123456"],
  ["１２３４５６", undefined], // full-width digits
  ["١٢٣٤٥٦", undefined], // Arabic digits
  ["12345", undefined],
  ["1234567", undefined],
  ["12345a", undefined],
  ["-12345", undefined],
  ["1e5000", undefined],
  ["", undefined],
  ["------", undefined],
  [`123456${" ".repeat(1000)}`, undefined],
])("%j typed as a TOTP code means %j", (typed, canonical) => {
  expect(canonicalTotp(typed)).toBe(canonical);
});
