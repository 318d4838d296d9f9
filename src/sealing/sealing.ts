// Sealing: AES-256-GCM for the secrets that are stored (rule 20). A sealed value opens only with the key that sealed it, for
// the same purpose and the same owner, so a row copied to another user is worthless. Pure but for the nonce passed in.

import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
} from "node:crypto";

/** What a sealed value is; part of what it is bound to. */
export type SealPurpose = "totp-secret" | "backup-codes" | "audit-chain-key";

export interface SealContext {
  purpose: SealPurpose;
  /** The user's id; for what belongs to no user, `dirmfa`. */
  owner: string;
}

export interface SealingKey {
  id: string;
  /** 32 bytes for AES-256, derived from the key file. As an object: of bytes, Node makes one for every value, which takes longer than the cipher. */
  cipherKey: KeyObject;
  /** Signs what goes to a client and comes back, such as a transaction id of a front door. */
  transactionKey: Buffer;
  /** Tells one key from another without telling anything of either; stored in the database. */
  checkValue: Buffer;
}

export const sealingKeyBytes = 32; // AES-256
/**
 * 96 random bits, as NIST SP 800-38D, 8.2.2 has it. One key may then seal 2^32 values; at one enrollment a second that
 * is 136 years.
 */
export const nonceBytes = 12;
const tagBytes = 16; // the full tag

/** `secretPlain` is the content of a key file. One purpose, one derived key: the file's bytes are never used themselves. */
export function sealingKeyOf(id: string, secretPlain: Uint8Array): SealingKey {
  return {
    id,
    cipherKey: createSecretKey(derive(secretPlain, "dirmfa sealing v1")),
    transactionKey: derive(secretPlain, "dirmfa transaction v1"),
    checkValue: createHmac("sha256", derive(secretPlain, "dirmfa key check v1")).update(id).digest(),
  };
}

function derive(secretPlain: Uint8Array, purpose: string): Buffer {
  return Buffer.from(hkdfSync("sha256", secretPlain, "", purpose, sealingKeyBytes));
}

/** Nonce, ciphertext and tag in one. `nonce` must be fresh random bytes, `nonceBytes` of them, for every call. */
export function seal(key: SealingKey, context: SealContext, plain: Uint8Array, nonce: Uint8Array): Buffer {
  const cipher = createCipheriv("aes-256-gcm", key.cipherKey, nonce, { authTagLength: tagBytes });
  cipher.setAAD(boundTo(key, context));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** What was sealed, or undefined when the value was changed, belongs elsewhere or was sealed with another key. */
export function open(key: SealingKey, context: SealContext, sealed: Uint8Array): Buffer | undefined {
  if (sealed.length < nonceBytes + tagBytes) return undefined;
  const nonce = sealed.subarray(0, nonceBytes);
  const decipher = createDecipheriv("aes-256-gcm", key.cipherKey, nonce, { authTagLength: tagBytes });
  decipher.setAAD(boundTo(key, context));
  decipher.setAuthTag(sealed.subarray(-tagBytes));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(nonceBytes, -tagBytes)), decipher.final()]);
  } catch {
    return undefined; // the tag does not match
  }
}

// JSON keeps the parts apart: no purpose and owner run together like another pair.
function boundTo(key: SealingKey, context: SealContext): Buffer {
  return Buffer.from(JSON.stringify(["dirmfa sealed v1", key.id, context.purpose, context.owner]));
}
