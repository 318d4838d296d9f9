// Making a set of backup codes. The codes leave here once, to be shown; what stays is their sealed hashes.

import { nonceBytes, type SealingKey, seal } from "../sealing/sealing.ts";
import type { Transaction } from "../store/database.ts";
import { hashBytes, saltBytes } from "./backup-code-hash.ts";
import { replaceBackupCodes } from "./backup-codes-table.ts";
import { backupCodeFrom, backupCodeLength, printedCode } from "./codes.ts";
import type { VerificationDeps } from "./deps.ts";
import { requireWaiting } from "./waiting-caller.ts";

export interface NewBackupCodes {
  /** As they are shown to the user. */
  printed: string[];
  kdf: string;
  salt: Buffer;
  hashes: Buffer;
}

/**
 * New codes and their hashes, or undefined when `isWanted` says no, since one scrypt for each code is expensive. Throws AppError
 * `rate-limited` when it would take too long, and `aborted` when the signal comes before it is done.
 */
export async function makeBackupCodes(
  deps: Pick<VerificationDeps, "hasher" | "randomBytes" | "mfa">,
  asked: { isWanted(): Promise<boolean>; signal: AbortSignal | undefined },
): Promise<NewBackupCodes | undefined> {
  if (!(await asked.isWanted())) return undefined;
  return deps.hasher.setTurns.run(() => makeSet(deps, asked.signal), asked);
}

async function makeSet(
  deps: Pick<VerificationDeps, "hasher" | "randomBytes" | "mfa">,
  signal: AbortSignal | undefined,
): Promise<NewBackupCodes> {
  const kdf = deps.hasher.kdfOfNewSets;
  const salt = deps.randomBytes(saltBytes);
  const codes = Array.from({ length: deps.mfa.backupCodes.count }, () =>
    backupCodeFrom(deps.randomBytes(backupCodeLength)),
  );
  const hashes: Buffer[] = [];
  // One after the other, so that enrollments leave turns to those who sign in.
  for (const canonicalCode of codes) {
    requireWaiting(signal);
    hashes.push(await deps.hasher.hashNew({ canonicalCode, salt, kdf }));
  }
  return { printed: codes.map(printedCode), kdf, salt, hashes: Buffer.concat(hashes) };
}

/** Stores the set with its authenticator, in place of any older one. The authenticator must be locked. */
export async function storeBackupCodes(
  trx: Transaction,
  deps: Pick<VerificationDeps, "randomBytes">,
  input: { codes: NewBackupCodes; authenticatorId: string; userId: string; key: SealingKey },
): Promise<void> {
  const { codes, key } = input;
  const context = { purpose: "backup-codes", owner: input.userId } as const;
  await replaceBackupCodes(trx, {
    authenticatorId: input.authenticatorId,
    kdf: codes.kdf,
    salt: codes.salt,
    keyId: key.id,
    sealed: seal(key, context, codes.hashes, deps.randomBytes(nonceBytes)),
    count: codes.hashes.length / hashBytes,
  });
}
