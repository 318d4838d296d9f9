// Secrets are sealed for one user and one purpose (rule 20).

import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { nonceBytes, open, seal, sealingKeyOf } from "../../src/sealing/sealing.ts";

const file = randomBytes(32);
const key = sealingKeyOf("first", file);
const context = { purpose: "totp-secret", owner: "user-1" } as const;
const plain = randomBytes(20);
const sealed = seal(key, context, plain, randomBytes(nonceBytes));

test("a sealed value opens with its key, purpose and owner", () => {
  expect(open(key, context, sealed)).toEqual(plain);
});

test("a value sealed for one user does not open for another", () => {
  expect(open(key, { ...context, owner: "user-2" }, sealed)).toBeUndefined();
});

test("a value sealed for one purpose does not open for another", () => {
  expect(open(key, { ...context, purpose: "backup-codes" }, sealed)).toBeUndefined();
});

test("a value does not open with another key, nor with the same key under another name", () => {
  expect(open(sealingKeyOf("first", randomBytes(32)), context, sealed)).toBeUndefined();
  expect(open(sealingKeyOf("second", file), context, sealed)).toBeUndefined();
});

test("a value with any one bit changed does not open", () => {
  fc.assert(
    fc.property(fc.nat(sealed.length * 8 - 1), (bit) => {
      const changed = Buffer.from(sealed);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(open(key, context, changed)).toBeUndefined();
    }),
  );
});

test("nothing that is shorter, longer or made up opens, and nothing throws", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(sealed.length - 1), (bytes, length) => {
      expect(open(key, context, bytes)).toBeUndefined();
      expect(open(key, context, sealed.subarray(0, length))).toBeUndefined();
      expect(open(key, context, Buffer.concat([sealed, bytes, Buffer.of(0)]))).toBeUndefined();
    }),
  );
});

test("the check value tells one key from another and one name from another", () => {
  expect(sealingKeyOf("first", file).checkValue).toEqual(key.checkValue);
  expect(sealingKeyOf("first", randomBytes(32)).checkValue).not.toEqual(key.checkValue);
  expect(sealingKeyOf("second", file).checkValue).not.toEqual(key.checkValue);
});
