// The guard of every code (rule 18): lockout first, then the match, then one statement that spends, counts and audits
// (guard-table.ts). Before it only remembered-code.ts takes a TOTP code, by the same rules. A wrong code is an answer and not an error, so that its count and its audit event stay.

import type { Actor } from "../audit/audit-events-table.ts";
import { openSealed } from "../sealing/sealing-keys.ts";
import type { Database } from "../store/database.ts";
import { tryAgain } from "../store/in-transaction.ts";
import type { CodeRefusal, TypedCode } from "./answers.ts";
import { type HashInput, positionOfHash } from "./backup-code-hash.ts";
import {
  answerOf,
  type CodePurpose,
  type CodeSubject,
  judgeLockout,
  refuseLockedOut,
  refuseUnreadable,
  type SettledCode,
} from "./code-refusals.ts";
import { canonicalBackupCode, canonicalTotp } from "./codes.ts";
import type { VerificationDeps } from "./deps.ts";
import { type Attempt, isStepUnspent, spendBackupCode, spendStep } from "./guard-table.ts";
import { findLockoutEnd } from "./lockouts-table.ts";
import type { Authenticator, BackupCodeSet, Standing } from "./standing-table.ts";
import { matchTotpStep } from "./totp.ts";
import { requireWaiting } from "./waiting-caller.ts";

export type GuardDeps = Pick<
  VerificationDeps,
  "db" | "clock" | "log" | "keys" | "hasher" | "mfa" | "together"
>;

export interface GuardedCode {
  standing: Standing;
  /** What the code is compared with. */
  against: Authenticator;
  code: TypedCode;
  purpose: CodePurpose;
  actor: Actor;
  signal: AbortSignal | undefined;
}

export type JudgedCode = SettleableCode | CodeRefusal;

export interface SettleableCode {
  outcome: "judged";
  /** False when `settle` will not accept, so that work for it can be left out. True promises nothing. */
  mayBeAccepted(db: Database): Promise<boolean>;
  /** May run in the caller's transaction, so that the code is spent if and only if the change that it is for is made. */
  settle(db: Database): Promise<SettledCode>;
  /** The same with nothing else to change, for those who come at the same moment together. */
  settleTogether?(): Promise<SettledCode>;
}

/** Judges and spends a code. Accepted at most once, however many ask at the same time (rule 15). */
export async function takeCode(deps: GuardDeps, guarded: GuardedCode): Promise<SettledCode> {
  const judged = await judgeCode(deps, guarded);
  if (judged.outcome !== "judged") return judged;
  return judged.settleTogether ? judged.settleTogether() : tryAgain(() => judged.settle(deps.db));
}

/**
 * Compares a code and spends nothing. Nothing may be granted before `settle` has answered `accepted`. Throws AppError `aborted`
 * for a right code whose caller has gone; a wrong one counts all the same.
 */
export async function judgeCode(deps: GuardDeps, guarded: GuardedCode): Promise<JudgedCode> {
  const { standing, code, actor, purpose } = guarded;
  const subject: CodeSubject = { standing, kind: code.method, actor, purpose };
  // Before any expensive work, so that a locked user costs no hashing.
  const refused = await judgeLockout(deps, subject);
  if (refused) return refused;
  return code.method === "totp"
    ? judgeTotp(deps, guarded, subject)
    : judgeBackupCode(deps, guarded, subject, standing.backupCodes);
}

async function judgeTotp(deps: GuardDeps, guarded: GuardedCode, subject: CodeSubject): Promise<JudgedCode> {
  const { standing, against } = guarded;
  const secret = await openSealed(deps.keys, { purpose: "totp-secret", owner: standing.user.id }, against);
  if (secret.kind !== "opened") return refuseUnreadable(deps, subject, secret, against.keyId);
  const typed = canonicalTotp(guarded.code.codeAsTyped);
  const step = matchTotpStep(secret.plain, typed, deps.clock.now(), deps.mfa.totp.windowSteps);
  if (step !== undefined) requireWaiting(guarded.signal);
  const attempt = attemptOf(guarded, mismatchOf(typed, step));
  const code = { authenticatorId: against.id, state: against.state, step };
  return {
    outcome: "judged",
    mayBeAccepted: async (db) => step !== undefined && isStepUnspent(db, { ...code, step }),
    settle: async (db) => answerOf(deps.log, attempt, await spendStep(db, attempt, deps.mfa.lockout, code)),
    settleTogether: async () => {
      const { signal } = guarded;
      const limits = deps.mfa.lockout;
      return answerOf(deps.log, attempt, await deps.together.spendStep({ attempt, limits, code, signal }));
    },
  };
}

async function judgeBackupCode(
  deps: GuardDeps,
  guarded: GuardedCode,
  subject: CodeSubject,
  set: BackupCodeSet | undefined,
): Promise<JudgedCode> {
  if (!set) throw new Error("an active authenticator has no backup codes");
  const hashes = await openSealed(
    deps.keys,
    { purpose: "backup-codes", owner: guarded.standing.user.id },
    set,
  );
  if (hashes.kind !== "opened") return refuseUnreadable(deps, subject, hashes, set.keyId);
  const typed = canonicalBackupCode(guarded.code.codeAsTyped);
  // What cannot be a code is not hashed. The answer then comes sooner, which tells nothing but that its form was wrong.
  const hashed =
    typed === undefined ? undefined : await hashUnlessLocked(deps, subject, { ...set, canonicalCode: typed });
  if (hashed && "outcome" in hashed) return hashed;
  const position = hashed && positionOfHash(hashes.plain, hashed.hash);
  if (position !== undefined) requireWaiting(guarded.signal);
  const attempt = attemptOf(guarded, mismatchOf(typed, position));
  return {
    outcome: "judged",
    mayBeAccepted: async () => position !== undefined,
    settle: async (db) =>
      answerOf(
        deps.log,
        attempt,
        await spendBackupCode(db, attempt, deps.mfa.lockout, { setId: set.id, position }),
      ),
  };
}

// Codes wait in line for their hash. One whose user is locked out meanwhile is not hashed: it is neither right nor wrong, and is
// refused by that lockout. Where that lockout is over already, it waits again.
async function hashUnlessLocked(
  deps: GuardDeps,
  subject: CodeSubject,
  typed: HashInput,
): Promise<{ hash: Buffer } | CodeRefusal> {
  const findEnd = () => findLockoutEnd(deps.db, subject.standing.user.id, subject.kind);
  for (;;) {
    const hash = await deps.hasher.hash(typed, async () => (await findEnd()) === undefined);
    if (hash) return { hash };
    const until = await findEnd();
    if (until) return refuseLockedOut(deps, subject, until);
  }
}

export function mismatchOf(typed: string | undefined, match: number | undefined): Attempt["mismatch"] {
  if (match !== undefined) return undefined;
  return typed === undefined ? "malformed" : "wrong-code";
}

function attemptOf(guarded: GuardedCode, mismatch: Attempt["mismatch"]): Attempt {
  const { user } = guarded.standing;
  return {
    userId: user.id,
    directory: user.directory,
    method: guarded.code.method,
    actor: guarded.actor,
    mismatch,
    details: { purpose: guarded.purpose },
  };
}
