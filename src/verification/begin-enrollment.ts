// F5: the secret is made and shown. Nothing protects the sign-in until the first code confirms it; an authenticator that
// is active stays so until then.

import { randomUUID } from "node:crypto";
import { recordAuditEvent } from "../audit/audit-events-table.ts";
import type { Transaction } from "../store/database.ts";
import type { BeginEnrollmentAnswer, UserInput } from "./answers.ts";
import { upsertPending } from "./authenticators-table.ts";
import { type JudgedCode, judgeCode } from "./code-guard.ts";
import type { VerificationDeps } from "./deps.ts";
import { keyUriOf, qrPngOf, qrSvgOf } from "./key-uri.ts";
import { ensureLockouts } from "./lockouts-table.ts";
import { nonceBytes, type SealingKey, seal } from "./sealing.ts";
import { withActiveKey } from "./sealing-keys.ts";
import { requireActive } from "./standing.ts";
import { findStandingByName, type Standing } from "./standing-table.ts";
import { base32Of, totpSecretBytes } from "./totp.ts";

type Input = UserInput & {
  /** Needed, and taken, only where an authenticator is active. */ totpAsTyped?: string | undefined;
};

/** Begins an enrollment in place of any begun before. With an active authenticator it needs that one's code (rule 14). */
export async function beginEnrollment(deps: VerificationDeps, input: Input): Promise<BeginEnrollmentAnswer> {
  const found = requireActive(await findStandingByName(deps.db, input.name));
  if (found.outcome !== "active") return found;
  const { standing } = found;
  const judged = await judgeReplacement(deps, standing, input);
  if (judged && judged.outcome !== "judged") return judged;

  const secret = deps.randomBytes(totpSecretBytes);
  const stored = await withActiveKey(deps, async (trx, key) => {
    const settled = await judged?.settle(trx);
    if (settled && settled.outcome !== "accepted") return settled;
    return {
      outcome: "stored" as const,
      expiresAt: await storePending(trx, deps, input, { standing, secret, key }),
    };
  });
  if (stored.outcome !== "stored") return stored;
  const secretPlain = base32Of(secret);
  const { user } = standing;
  const uri = keyUriOf({ issuer: deps.mfa.issuer, username: user.username, secretBase32: secretPlain });
  const [qrSvg, qrPng] = await Promise.all([qrSvgOf(uri), qrPngOf(uri)]);
  return { outcome: "begun", user, secretPlain, uri, qrSvg, qrPng, expiresAt: stored.expiresAt };
}

async function judgeReplacement(
  deps: VerificationDeps,
  standing: Standing,
  input: Input,
): Promise<JudgedCode | { outcome: "already-enrolled" } | { outcome: "not-enrolled" } | undefined> {
  const { authenticator } = standing;
  const { totpAsTyped, actor } = input;
  if (!authenticator) return totpAsTyped === undefined ? undefined : { outcome: "not-enrolled" };
  if (totpAsTyped === undefined) return { outcome: "already-enrolled" };
  const code = { method: "totp", codeAsTyped: totpAsTyped } as const;
  return judgeCode(deps, { standing, against: authenticator, code, purpose: "replace-authenticator", actor });
}

async function storePending(
  trx: Transaction,
  deps: VerificationDeps,
  input: Input,
  pending: { standing: Standing; secret: Buffer; key: SealingKey },
): Promise<Date> {
  const { standing, secret, key } = pending;
  const { user } = standing;
  await ensureLockouts(trx, user.id);
  const expiresAt = await upsertPending(trx, {
    id: randomUUID(),
    userId: user.id,
    keyId: key.id,
    sealed: seal(key, { purpose: "totp-secret", owner: user.id }, secret, deps.randomBytes(nonceBytes)),
    expiresAfterMs: deps.mfa.totp.enrollmentExpiresMs,
  });
  await recordAuditEvent(trx, {
    actor: input.actor,
    action: "enrollment-begin",
    userId: user.id,
    directory: user.directory,
    outcome: "done",
    details: { replaces: standing.authenticator !== undefined },
  });
  return expiresAt;
}
