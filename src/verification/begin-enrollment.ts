// F5: the secret is made and shown. Nothing protects the sign-in until the first code confirms it; an authenticator that
// is active stays so until then.

import { randomUUID } from "node:crypto";
import { recordAuditEvent } from "../audit/audit-events-table.ts";
import { nonceBytes, type SealingKey, seal } from "../sealing/sealing.ts";
import { withActiveKey } from "../sealing/sealing-keys.ts";
import type { Transaction } from "../store/database.ts";
import type { BeginEnrollmentAnswer, TypedCode, UserInput } from "./answers.ts";
import { upsertPending } from "./authenticators-table.ts";
import { type JudgedCode, judgeCode, type SettleableCode } from "./code-guard.ts";
import type { VerificationDeps } from "./deps.ts";
import { judgePass } from "./enrollment-pass.ts";
import { keyUriOf } from "./key-uri.ts";
import { ensureLockouts } from "./lockouts-table.ts";
import { qrPicturesOf } from "./qr-code.ts";
import { requireActive } from "./standing.ts";
import { findStandingByName, holdStanding, type Standing } from "./standing-table.ts";
import { base32Of, totpSecretBytes } from "./totp.ts";
import { requireWaiting } from "./waiting-caller.ts";

type Input = UserInput & {
  /** A code of the active authenticator, or a backup code in its place: one of them is needed, and taken, only where one is active. */
  totpAsTyped?: string | undefined;
  /** For a lost phone. As good as none where `mfa.replaceWithBackupCode` is off. */
  backupCodeAsTyped?: string | undefined;
  /** Taken only where none is; needed there where the policy in force requires it. Shown to be right before anything is stored. */
  passAsTyped?: string | undefined;
};

/**
 * Begins an enrollment in place of any begun before. With an active authenticator it needs that one's code or a backup code
 * (rule 14, F15); without, the configuration may ask for an enrollment pass (rule 31). Either is spent together with the storing,
 * or not at all. The active authenticator and its other backup codes stay until the new one is confirmed (decision 18).
 */
export async function beginEnrollment(deps: VerificationDeps, input: Input): Promise<BeginEnrollmentAnswer> {
  const found = requireActive(await findStandingByName(deps.db, input.name), deps.directories);
  if (found.outcome !== "active") return found;
  const { standing } = found;
  const refused = refusalOf(deps, standing, input);
  if (refused) return refused;
  const judged = await judgeBeginning(deps, standing, input);
  if (judged && judged.outcome !== "judged") return judged;

  const secret = deps.randomBytes(totpSecretBytes);
  const { id: userId } = standing.user;
  const stored = await withActiveKey(deps, (trx, key) =>
    storeBegun(trx, deps, input, { userId, judged, secret, key }),
  );
  if (stored.outcome !== "stored") return stored;
  const secretPlain = base32Of(secret);
  const { user, expiresAt } = stored;
  const uri = keyUriOf({ issuer: deps.mfa.issuer, username: user.username, secretBase32: secretPlain });
  const { svg: qrSvg, pngUrl: qrPng } = qrPicturesOf(uri);
  return { outcome: "begun", user, secretPlain, uri, qrSvg, qrPng, expiresAt };
}

// A code has to come exactly where an authenticator is active. A pass does not take its place: it is for those who have none.
function refusalOf(
  { mfa }: Pick<VerificationDeps, "mfa">,
  { user, authenticator }: Standing,
  input: Input,
): { outcome: "already-enrolled" | "not-enrolled" | "enrollment-pass-required" } | undefined {
  const code = codeOf(input);
  if (authenticator) {
    const isTaken = code?.method === "totp" || (code?.method === "backup-code" && mfa.replaceWithBackupCode);
    return isTaken ? undefined : { outcome: "already-enrolled" };
  }
  if (code) return { outcome: "not-enrolled" };
  return input.passAsTyped === undefined && user.policyRequires.enrollmentPass
    ? { outcome: "enrollment-pass-required" }
    : undefined;
}

function codeOf({ totpAsTyped, backupCodeAsTyped }: Input): TypedCode | undefined {
  if (totpAsTyped !== undefined) return { method: "totp", codeAsTyped: totpAsTyped };
  return backupCodeAsTyped === undefined
    ? undefined
    : { method: "backup-code", codeAsTyped: backupCodeAsTyped };
}

/** The code or the pass that came, compared; undefined where none had to. */
async function judgeBeginning(
  deps: VerificationDeps,
  standing: Standing,
  input: Input,
): Promise<JudgedCode | undefined> {
  const { authenticator } = standing;
  const { passAsTyped, actor, signal } = input;
  const code = codeOf(input);
  if (authenticator && code) {
    const purpose = "replace-authenticator";
    return judgeCode(deps, { standing, against: authenticator, code, purpose, actor, signal });
  }
  return passAsTyped === undefined ? undefined : judgePass(deps, { standing, passAsTyped, actor, signal });
}

// Under the user's lock all is looked at once more: an enrollment may have been confirmed, or ended, since it was read. The
// code's statement takes it only for the authenticator that it was judged against.
async function storeBegun(
  trx: Transaction,
  deps: VerificationDeps,
  input: Input,
  begun: { userId: string; judged: SettleableCode | undefined; secret: Buffer; key: SealingKey },
) {
  const held = requireActive(await holdStanding(trx, begun.userId), deps.directories);
  if (held.outcome !== "active") return held;
  const { standing } = held;
  const refused = refusalOf(deps, standing, input);
  if (refused) return refused;
  const settled = await begun.judged?.settle(trx);
  if (settled && settled.outcome !== "accepted") return settled;
  const expiresAt = await storePending(trx, deps, input, { ...begun, standing });
  requireWaiting(input.signal);
  return { outcome: "stored" as const, user: standing.user, expiresAt };
}

async function storePending(
  trx: Transaction,
  deps: VerificationDeps,
  input: Input,
  pending: { standing: Standing; secret: Buffer; key: SealingKey },
): Promise<Date> {
  const { standing, secret, key } = pending;
  const { user, authenticator } = standing;
  await ensureLockouts(trx, user.id, ["totp", "backup-code"]);
  const withPass = authenticator === undefined && input.passAsTyped !== undefined;
  const expiresAt = await upsertPending(trx, {
    id: randomUUID(),
    userId: user.id,
    keyId: key.id,
    sealed: seal(key, { purpose: "totp-secret", owner: user.id }, secret, deps.randomBytes(nonceBytes)),
    expiresAfterMs: deps.mfa.totp.enrollmentExpiresMs,
    replaces: authenticator?.id ?? null,
    withPass,
  });
  await recordAuditEvent(trx, {
    actor: input.actor,
    action: "enrollment-begin",
    userId: user.id,
    directory: user.directory,
    outcome: "done",
    details: { replaces: authenticator !== undefined, withPass },
  });
  return expiresAt;
}
