// Hashing backup codes: scrypt, bounded in how many run at once. Codes of one set share a salt, so an attempt costs one
// scrypt however many codes there are (rule 21). Why these numbers: docs/decisions/0012-backup-code-hashing.md.

import { type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";
import { availableParallelism } from "node:os";
import { createTurns, type Turns } from "./turns.ts";

/** For new sets. Stored with each, so that it can be raised while old ones stay readable. */
export const presentKdf = "scrypt:16384:8:1";

export const saltBytes = 16; // NIST SP 800-132, 5.1
export const hashBytes = 32; // no shorter than what it is compared with, SHA-256's length

// A hash takes a whole core: one stays free for those who type TOTP codes. Of libuv's four threads two stay free for files and name
// look-ups; memory is 2 × 16 MiB at most.
const hashesAtOnce = Math.max(1, Math.min(2, availableParallelism() - 1));

// Beside a flood whoever is let in has an answer soon, and the others come again.
const hashLimits = { waitMs: 1_000, usualMs: 50 };

// Each set is ten hashes. As many sets as hashes at once, so that between two hashes of a set one who signs in has a turn. The client gives
// up after five seconds; an answer after that spends a code that nobody hears of.
const setLimits = { waitMs: 2_500, usualMs: 500 };

export interface BackupCodeHasher {
  /**
   * The hash, or undefined when `stillWanted` says no; it is asked only after a wait, so that what a flood has locked out
   * meanwhile is not hashed. Throws AppError `rate-limited`, before any work, when the wait would be too long.
   */
  hash(typed: HashInput, stillWanted: () => Promise<boolean>): Promise<Buffer | undefined>;
  /** The hash of a code of a new set, whose turn has come: a flood of typed codes keeps nobody from enrolling. */
  hashNew(code: HashInput): Promise<Buffer>;
  /** How a new set is hashed, as it is stored with it. */
  kdfOfNewSets: string;
  /** Turns at hashing a whole new set. */
  setTurns: Turns;
}

export interface HashInput {
  canonicalCode: string;
  salt: Uint8Array;
  kdf: string;
}

/** One a process: the bound is on the process's memory and threads. */
export function createBackupCodeHasher(kdfOfNewSets: string, running = hashesAtOnce): BackupCodeHasher {
  const turns = createTurns({ running, ...hashLimits });
  // Equal requests at the same time, as of a button pressed twice, share one hash.
  const underWay = new Map<string, Promise<Buffer | undefined>>();
  return {
    kdfOfNewSets,
    setTurns: createTurns({ running, ...setLimits }),
    async hashNew(code) {
      const hash = await turns.run(() => scryptHash(code), { isWanted: async () => true, goesFirst: true });
      if (hash === undefined) throw new Error("what is always wanted was not hashed");
      return hash;
    },
    async hash(typed, stillWanted) {
      const name = `${typed.kdf} ${Buffer.from(typed.salt).toString("hex")} ${typed.canonicalCode}`;
      const shared = underWay.get(name) ?? turns.run(() => scryptHash(typed), { isWanted: stillWanted });
      underWay.set(name, shared);
      try {
        return await shared;
      } finally {
        underWay.delete(name);
      }
    },
  };
}

function parseKdf(kdf: string): ScryptOptions {
  const [, cost, blockSize, parallelization] = /^scrypt:(\d{1,7}):(\d{1,2}):(\d{1,2})$/.exec(kdf) ?? [];
  if (!cost || !blockSize || !parallelization) throw new Error(`unknown way of hashing backup codes: ${kdf}`);
  return {
    N: Number(cost),
    r: Number(blockSize),
    p: Number(parallelization),
    maxmem: 64 * 1024 * 1024, // four times what the present setting takes, against a row that asks for gigabytes
  };
}

async function scryptHash(typed: HashInput): Promise<Buffer> {
  const options = parseKdf(typed.kdf);
  return new Promise((resolve, reject) => {
    scrypt(typed.canonicalCode, typed.salt, hashBytes, options, (error, hash) =>
      error ? reject(error) : resolve(hash),
    );
  });
}

/** The position of `hash` among the hashes of a set, or undefined. Always compares with all of them. */
export function positionOfHash(hashes: Uint8Array, hash: Uint8Array): number | undefined {
  let found: number | undefined;
  for (let position = 0; (position + 1) * hashBytes <= hashes.length; position++) {
    const candidate = hashes.subarray(position * hashBytes, (position + 1) * hashBytes);
    if (timingSafeEqual(candidate, hash)) found = position;
  }
  return found;
}
