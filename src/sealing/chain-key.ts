// The key of the audit chain. It is random and sealed like a TOTP secret, so that sealing keys can be rotated and thrown
// away while seals of any age stay checkable.

import { AppError } from "../errors.ts";
import type { Database } from "../store/database.ts";
import { findChainKey, insertFirstChainKey, type StoredChainKey } from "./chain-key-table.ts";
import { nonceBytes, seal } from "./sealing.ts";
import { openSealed, type SealingKeys, withActiveKey } from "./sealing-keys.ts";

const context = { purpose: "audit-chain-key", owner: "dirmfa" } as const;
const chainKeyBytes = 32; // HMAC-SHA-256

export interface ChainKeyDeps {
  db: Database;
  keys: SealingKeys;
  /** Cryptographically secure random bytes. */
  randomBytes(size: number): Buffer;
}

/**
 * Reads the key, and makes it in a new database. Throws AppError `key-missing` when events were sealed and the key is gone,
 * `key-wrong` when it does not open: both mean that the audit cannot be trusted any more, and neither is mended silently.
 */
export async function openChainKey(deps: ChainKeyDeps): Promise<Buffer> {
  const stored = (await findChainKey(deps.db)) ?? (await makeChainKey(deps));
  const opened = await openSealed(deps.keys, context, stored);
  if (opened.kind === "opened") return opened.plain;
  throw new AppError(
    opened.kind === "key-missing" ? "key-missing" : "key-wrong",
    `The audit chain's key cannot be opened with the sealing key ${stored.keyId}.`,
    {
      remedy: "Restore the sealing key's file; if it is the right one, the database was tampered with.",
      fields: { keyId: stored.keyId },
    },
  );
}

async function makeChainKey(deps: ChainKeyDeps): Promise<StoredChainKey> {
  const plain = deps.randomBytes(chainKeyBytes);
  await withActiveKey(deps, (trx, key) =>
    insertFirstChainKey(trx, {
      keyId: key.id,
      sealed: seal(key, context, plain, deps.randomBytes(nonceBytes)),
    }),
  );
  // Another starter may have been first.
  const stored = await findChainKey(deps.db);
  if (stored) return stored;
  throw new AppError(
    "key-missing",
    "Audit events were sealed, but the audit chain's key is gone from the database.",
    {
      remedy:
        "Someone has removed it: compare the audit with a database backup. Restore table audit_chain_keys from there.",
    },
  );
}
