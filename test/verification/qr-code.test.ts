// What a QR code costs the thread that answers everybody. That phones read it: test/e2e/compatibility.test.ts.

import { expect, test } from "vitest";
import { keyUriOf } from "../../src/verification/key-uri.ts";
import { qrPicturesOf } from "../../src/verification/qr-code.ts";

test("both pictures of a QR code hold the thread for some tenths of a millisecond", () => {
  const secretBase32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const uri = keyUriOf({ issuer: "An Organization", username: "somebody@example.org", secretBase32 });
  const took = Array.from({ length: 100 }, () => {
    const begun = performance.now();
    qrPicturesOf(uri);
    return performance.now() - begun;
  });
  const median = took.toSorted((one, other) => one - other)[50];
  // Far above what the slowest machine takes, and below the 13 ms of a library that drew the modules twice.
  expect(median).toBeLessThan(5);
});
