// TOTP (RFC 6238) with the parameters that every authenticator app knows: SHA-1, 6 digits, 30 seconds. Pure. Only computes
// and compares; a matching code is good once it is also spent (code-guard.ts).

import { createHmac, createSecretKey, timingSafeEqual } from "node:crypto";
import { type CryptoPlugin, generateSync, NobleCryptoPlugin, ScureBase32Plugin } from "otplib";

export const totpParameters = { algorithm: "SHA1", digits: 6, periodSeconds: 30 } as const;

/** RFC 4226, section 4, R6: 160 bits, the length of the hash. */
export const totpSecretBytes = 20;

/** The number of whole periods since 1970 (RFC 6238, 4.2). */
export function timeStepAt(now: Date): number {
  return Math.floor(now.getTime() / 1000 / totpParameters.periodSeconds);
}

/**
 * The time step for which `canonicalCode` is the code of `secret`, within `windowSteps` either side of `now`, or
 * undefined. Never throws for any code, and always computes and compares the whole window, so that the time taken tells
 * nothing. Of several steps with the same code the latest is meant, which leaves no second use of it.
 *
 * otplib's own verify throws for a code of the wrong form, measures its window in seconds and stops at the first match.
 */
export function matchTotpStep(
  secret: Uint8Array,
  canonicalCode: string | undefined,
  now: Date,
  windowSteps: number,
): number | undefined {
  const typed = Buffer.from(canonicalCode ?? "");
  const present = timeStepAt(now);
  const crypto = hmacOf(secret);
  let matched: number | undefined;
  for (let step = Math.max(0, present - windowSteps); step <= present + windowSteps; step++) {
    if (isSameCode(Buffer.from(totpAt(secret, step, crypto)), typed)) matched = step;
  }
  return matched;
}

function totpAt(secret: Uint8Array, step: number, crypto: CryptoPlugin): string {
  // TOTP is HOTP with the step as its counter (RFC 6238, 4.2).
  return generateSync({ strategy: "hotp", secret, counter: step, digits: totpParameters.digits, crypto });
}

// OpenSSL's HMAC in place of otplib's in JavaScript, with one key object for the whole window: a third of the time.
function hmacOf(secret: Uint8Array): CryptoPlugin {
  const key = createSecretKey(secret);
  const rest = new NobleCryptoPlugin();
  return {
    name: "node",
    hmac: (algorithm, _secret, counter) => createHmac(algorithm, key).update(counter).digest(),
    randomBytes: (length) => rest.randomBytes(length),
    constantTimeEqual: (a, b) => rest.constantTimeEqual(a, b),
  };
}

function isSameCode(expected: Buffer, typed: Buffer): boolean {
  return typed.length === expected.length && timingSafeEqual(expected, typed);
}

/** Base32 without padding, as authenticator apps take it: 32 characters for 20 bytes. */
export function base32Of(secret: Uint8Array): string {
  return new ScureBase32Plugin().encode(secret, { padding: false });
}
