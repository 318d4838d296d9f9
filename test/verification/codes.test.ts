// Codes as people type and read them (rules 17 and 21).

import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  backupCodeFrom,
  backupCodeLength,
  canonicalBackupCode,
  printedCode,
} from "../../src/verification/codes.ts";

const anyCode = fc
  .uint8Array({ minLength: backupCodeLength, maxLength: backupCodeLength })
  .map((bytes) => backupCodeFrom(bytes));

test("a backup code has at least 50 bits and is printed in groups of four", () => {
  expect(backupCodeLength * 5).toBeGreaterThanOrEqual(50);
  expect(printedCode(backupCodeFrom(randomBytes(backupCodeLength)))).toMatch(
    /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/,
  );
});

test("every character of a backup code comes up equally often", () => {
  const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const counts = new Map<string, number>();
  for (let start = 0; start < 256; start++) {
    const first =
      backupCodeFrom(
        Uint8Array.from({ length: backupCodeLength }, (_, at) => all[(start + at) % 256] ?? 0),
      )[0] ?? "";
    counts.set(first, (counts.get(first) ?? 0) + 1);
  }
  expect([...new Set(counts.values())]).toEqual([8]);
  expect(counts.size).toBe(32);
});

test("a printed backup code is read back however it is typed", () => {
  fc.assert(
    fc.property(
      anyCode,
      fc.constantFrom("", " ", "-", " - ", "\u2013"),
      fc.boolean(),
      (code, separator, lower) => {
        const typed = printedCode(code).replaceAll("-", separator);
        expect(canonicalBackupCode(lower ? typed.toLowerCase() : typed)).toBe(code);
      },
    ),
  );
});

test("letters that look like digits are read as those digits", () => {
  expect(canonicalBackupCode("oOiI-lL00-1111")).toBe("001111001111");
});

test.each([
  "",
  "7K3M-9QXT-2B4",
  "7K3M-9QXT-2B4HH",
  "7K3M-9QXT-2B4U",
  "７K3M-9QXT-2B4H",
  "7K3M_9QXT_2B4H",
  "ſ".repeat(12),
])("%j is no backup code", (typed) => {
  expect(canonicalBackupCode(typed)).toBeUndefined();
});

test("no input makes reading a code throw", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), (typed) => {
      expect(canonicalBackupCode(typed) ?? "000000000000").toHaveLength(backupCodeLength);
    }),
  );
});
