// How backup codes are hashed, and what a flood of them costs (rule 21).

import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { errorCodeOf } from "../../src/errors.ts";
import {
  createBackupCodeHasher,
  hashBytes,
  positionOfHash,
  presentKdf,
  saltBytes,
} from "../../src/verification/backup-code-hash.ts";
import { createTurns } from "../../src/verification/turns.ts";

const salt = randomBytes(saltBytes);
const typed = (canonicalCode: string, kdf = presentKdf) => ({ canonicalCode, salt, kdf });
const always = async () => true;

test("a hash depends on code, salt and settings alone", async () => {
  const hasher = createBackupCodeHasher(presentKdf);
  const hash = await hasher.hash(typed("A"), always);
  expect(hash).toHaveLength(hashBytes);
  expect(await createBackupCodeHasher(presentKdf).hash(typed("A"), always)).toEqual(hash);
  expect(await hasher.hash(typed("B"), always)).not.toEqual(hash);
  expect(await hasher.hash({ ...typed("A"), salt: randomBytes(saltBytes) }, always)).not.toEqual(hash);
  expect(await hasher.hash(typed("A", "scrypt:1024:8:1"), always)).not.toEqual(hash);
});

test("a flood waits for its turn, what is no longer wanted is not hashed, and the rest is refused at once", async () => {
  const hasher = createBackupCodeHasher(presentKdf, 2);
  const flood = Array.from({ length: 400 }, (_, index) => hasher.hash(typed(`${index}`), async () => false));
  const settled = await Promise.allSettled(flood);
  const hashed = settled.filter((result) => result.status === "fulfilled" && result.value !== undefined);
  const refused = settled.filter((result) => result.status === "rejected");
  expect(hashed).toHaveLength(2);
  expect(refused.length).toBeGreaterThan(300);
  expect(refused.every((result) => result.reason.code === "rate-limited")).toBe(true);
  expect(await hasher.hash(typed("after"), always)).toHaveLength(hashBytes);
});

test("who is let in while ten times as many come is served in time, and the others are told at once", async () => {
  const turns = createTurns({ running: 2, waitMs: 300, usualMs: 1 });
  const seen = { served: [] as number[], refused: [] as number[] };
  const arrive = async () => {
    const at = performance.now();
    try {
      await turns.run(() => sleep(20), { isWanted: always });
      seen.served.push(performance.now() - at);
    } catch (error) {
      expect(errorCodeOf(error)).toBe("rate-limited");
      seen.refused.push(performance.now() - at);
    }
  };
  // A hundred a second are served, and a thousand a second come. At first nobody knows how long the work takes.
  for (let n = 0; n < 30; n += 1) await turns.run(() => sleep(20), { isWanted: always });
  const arrivals: Promise<void>[] = [];
  for (let tick = 0; tick < 150; tick += 1) {
    arrivals.push(...Array.from({ length: 10 }, arrive));
    await sleep(10);
  }
  await Promise.all(arrivals);
  const sorted = seen.refused.sort((a, b) => a - b);
  expect(seen.served.length).toBeGreaterThan(50);
  expect(Math.max(...seen.served)).toBeLessThan(2_000);
  expect(seen.refused.length).toBeGreaterThan(750);
  expect(sorted[Math.floor(sorted.length * 0.9)]).toBeLessThan(10);
});

test("work that took long once, as while the process was stopped, closes the line to nobody after it", async () => {
  const turns = createTurns({ running: 1, waitMs: 200, usualMs: 1 });
  await turns.run(() => sleep(1_500), { isWanted: always });
  const two = Array.from({ length: 2 }, () => turns.run(async () => "done", { isWanted: always }));
  expect(await Promise.all(two)).toEqual(["done", "done"]);
  const five = Array.from({ length: 5 }, () => turns.run(async () => "done", { isWanted: always }));
  expect(await Promise.all(five)).toEqual(Array.from({ length: 5 }, () => "done"));
});

test("a set is made in time beside a flood, and takes turns with it", async () => {
  const hasher = createBackupCodeHasher(presentKdf, 1);
  const flood = Array.from({ length: 400 }, (_, index) => hasher.hash(typed(`${index}`), always));
  const judged = Promise.allSettled(flood);
  const begunAt = performance.now();
  await hasher.setTurns.run(
    async () => {
      for (let code = 0; code < 10; code += 1) await hasher.hashNew(typed(`new ${code}`));
    },
    { isWanted: always },
  );
  expect(performance.now() - begunAt).toBeLessThan(2_500);
  // One that came at once, and at least some between the hashes of the set.
  const served = (await judged).filter(({ status }) => status === "fulfilled").length;
  expect(served).toBeGreaterThan(2);
});

test("equal requests at once share one hash", async () => {
  const hasher = createBackupCodeHasher(presentKdf);
  const hashes = await Promise.all(Array.from({ length: 1_000 }, () => hasher.hash(typed("A"), always)));
  expect(new Set(hashes)).toHaveProperty("size", 1);
});

test("a failure gives its turn back", async () => {
  const hasher = createBackupCodeHasher(presentKdf);
  for (let attempt = 0; attempt < 5; attempt++) {
    await expect(hasher.hash(typed("A", "scrypt:3:8:1"), always)).rejects.toThrow();
  }
  expect(await hasher.hash(typed("A"), always)).toHaveLength(hashBytes);
});

test.each(["", "md5", "scrypt:16384:8", "scrypt:16384:8:1:1", "scrypt:99999999:8:1", "scrypt:1048576:8:1"])(
  "settings that read %j are refused and take no memory",
  async (kdf) => {
    await expect(createBackupCodeHasher(presentKdf).hash(typed("A", kdf), always)).rejects.toThrow();
  },
);

test("a hash is found at its place in a set, and only whole hashes count", () => {
  const hashes = Array.from({ length: 10 }, () => randomBytes(hashBytes));
  const set = Buffer.concat(hashes);
  hashes.forEach((hash, position) => {
    expect(positionOfHash(set, hash)).toBe(position);
  });
  expect(positionOfHash(set, randomBytes(hashBytes))).toBeUndefined();
  expect(positionOfHash(set.subarray(0, -1), hashes[9] ?? Buffer.alloc(0))).toBeUndefined();
  expect(positionOfHash(Buffer.alloc(0), hashes[0] ?? Buffer.alloc(0))).toBeUndefined();
});
