// Enrolls all users of a database at once, for the bench: sealed as dirmfa seals, written a table at a time. Their secrets
// follow from one seed, so that the process that types the codes knows them too.

import { createHmac, randomBytes } from "node:crypto";
import { generateSync } from "otplib";
import { nonceBytes, type SealingKey, type SealPurpose, seal } from "../../src/sealing/sealing.ts";
import type { Database } from "../../src/store/database.ts";
import { hashBytes, presentKdf, saltBytes } from "../../src/verification/backup-code-hash.ts";
import { largeOrganizationUid } from "../servers/large-organization.ts";

const backupCodes = 10; // the default of `mfa.backupCodes.count`

/** The TOTP secret of the `number`th user of a large organization. */
export function totpSecretOf(seed: string, number: number): Buffer {
  return createHmac("sha1", seed).update(String(number)).digest(); // 20 bytes, as the real ones have
}

/** That user's code for a time step. */
export function totpCodeOf(seed: string, number: number, step: number): string {
  return generateSync({ strategy: "hotp", secret: totpSecretOf(seed, number), counter: step });
}

/**
 * Gives each user an authenticator with the user's own id, so that whoever knows the one knows the other, and ten backup
 * codes that are the hashes of nothing.
 */
export async function enrollUsers(db: Database, key: SealingKey, seed: string): Promise<void> {
  const ids = new Map<string, string>(
    (await db("users").select("id", "username")).map((row) => [row.username, row.id]),
  );
  const rows = Array.from({ length: ids.size }, (_, number) => {
    const id = ids.get(largeOrganizationUid(number));
    if (id === undefined) throw new Error(`there is no user ${largeOrganizationUid(number)}`);
    return {
      id,
      secret: sealed(key, "totp-secret", id, totpSecretOf(seed, number)),
      hashes: sealed(key, "backup-codes", id, randomBytes(backupCodes * hashBytes)),
      salt: randomBytes(saltBytes).toString("hex"),
    };
  });
  await db.raw(
    `insert into authenticators (id, user_id, state, key_id, sealed, last_step, confirmed_at)
     select id, id, 'active', :keyId, decode(secret, 'hex'), 0, clock_timestamp()
     from unnest(:ids::uuid[], :secrets::text[]) r (id, secret)`,
    { keyId: key.id, ids: rows.map(({ id }) => id), secrets: rows.map(({ secret }) => secret) },
  );
  await db.raw(
    `insert into backup_code_sets (authenticator_id, kdf, salt, key_id, sealed)
     select id, :kdf, decode(salt, 'hex'), :keyId, decode(hashes, 'hex')
     from unnest(:ids::uuid[], :salts::text[], :hashes::text[]) r (id, salt, hashes)`,
    {
      kdf: presentKdf,
      keyId: key.id,
      ids: rows.map(({ id }) => id),
      salts: rows.map(({ salt }) => salt),
      hashes: rows.map(({ hashes }) => hashes),
    },
  );
  await db.raw(
    // In the order in which enrollments write them: the codes of a user side by side.
    `insert into backup_codes (set_id, position)
     select s.id, position from backup_code_sets s, generate_series(0, :count::int - 1) position order by s.id, position`,
    { count: backupCodes },
  );
  await db.raw(
    `insert into lockouts (user_id, method)
     select a.user_id, method from authenticators a, (values ('totp'), ('backup-code')) methods (method)`,
  );
}

function sealed(key: SealingKey, purpose: SealPurpose, owner: string, plain: Buffer): string {
  return seal(key, { purpose, owner }, plain, randomBytes(nonceBytes)).toString("hex");
}

/** All codes are good again, as if every user had waited for a new one, and nobody is locked out; nothing is left to write or to clean up. */
export async function forgetSteps(db: Database): Promise<void> {
  for (const sql of [
    "update authenticators set last_step = 0",
    "update lockouts set failures = 0, level = 0, locked_until = null, refused = 0 where failures > 0 or level > 0",
    "vacuum authenticators",
    "vacuum lockouts",
    "checkpoint",
  ])
    await db.raw(sql);
}
