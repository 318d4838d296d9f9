// What `check` asks of the sealing keys: would a start find the ones that it needs? Changes nothing.

import { type ChainKeyDeps, openChainKey } from "./chain-key.ts";
import { openSealingKeys, type SealingKeysDeps } from "./sealing-keys.ts";

/**
 * Goes the way of a start in a transaction that is rolled back, so that it cannot find anything else than a start would:
 * throws its AppError `key-missing` or `key-wrong`. Returns the id of the key that would seal new secrets.
 */
export async function tryKeys(deps: SealingKeysDeps & Pick<ChainKeyDeps, "randomBytes">): Promise<string> {
  const trx = await deps.db.transaction();
  try {
    const keys = await openSealingKeys({ ...deps, db: trx });
    await openChainKey({ db: trx, keys, randomBytes: deps.randomBytes });
    return keys.active().id;
  } finally {
    await trx.rollback();
  }
}
