// The one way in for every code (rule 18): lockout first, then the match, then one statement that spends, counts and audits
// (guard-table.ts). A wrong code is an answer and not an error, so that its count and its audit event stay.

import { type Actor, type NewAuditEvent, recordAuditEvent } from "../audit/audit-events-table.ts";
import type { Log } from "../log.ts";
import { type Opened, openSealed } from "../sealing/sealing-keys.ts";
import type { Database } from "../store/database.ts";
import { inTransaction, tryAgain } from "../store/in-transaction.ts";
import type { CodeRefusal, GuardedKind, TypedCode, UserNotActive } from "./answers.ts";
import { type HashInput, positionOfHash } from "./backup-code-hash.ts";
import { canonicalBackupCode, canonicalTotp } from "./codes.ts";
import type { VerificationDeps } from "./deps.ts";
import { type Attempt, type GuardOutcome, isStepUnspent, spendBackupCode, spendStep } from "./guard-table.ts";
import { countRefusal, findLockoutEnd } from "./lockouts-table.ts";
import { lockedUntil } from "./standing.ts";
import type { Authenticator, BackupCodeSet, Standing } from "./standing-table.ts";
import { matchTotpStep } from "./totp.ts";
import { requireWaiting } from "./waiting-caller.ts";

export type GuardDeps = Pick<VerificationDeps, "db" | "clock" | "log" | "keys" | "hasher" | "mfa">;

/** What a code was typed for; told to the auditor. */
export type CodePurpose =
  | "sign-in"
  | "confirm-enrollment"
  | "replace-authenticator"
  | "disable"
  | "regenerate";

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
  /** False when `settle` will not accept: for work that is to be done before, and in vain then. True promises nothing. */
  mayBeAccepted(db: Database): Promise<boolean>;
  /** May run in the caller's transaction, to make the change that the code is for and its spending one. */
  settle(db: Database): Promise<SettledCode>;
}

/** The user's state is looked at with the code: it may have changed while the code waited for its hash. */
export type SettledCode = { outcome: "accepted" } | CodeRefusal | UserNotActive;

/** Judges and spends a code. Accepted at most once, however many ask at the same time (rule 15). */
export async function takeCode(deps: GuardDeps, guarded: GuardedCode): Promise<SettledCode> {
  const judged = await judgeCode(deps, guarded);
  return judged.outcome === "judged" ? tryAgain(() => judged.settle(deps.db)) : judged;
}

/**
 * Compares a code and spends nothing. Nothing may be granted before `settle` has answered `accepted`. Throws AppError `aborted`
 * for a right code whose caller has gone; a wrong one counts all the same.
 */
export async function judgeCode(deps: GuardDeps, guarded: GuardedCode): Promise<JudgedCode> {
  const { standing, code } = guarded;
  // Before any dear work, so that a locked user costs no hashing.
  const { actor, purpose } = guarded;
  const refused = await judgeLockout(deps, { standing, kind: code.method, actor, purpose });
  if (refused) return refused;
  return code.method === "totp"
    ? judgeTotp(deps, guarded)
    : judgeBackupCode(deps, guarded, standing.backupCodes);
}

interface LockoutSubject {
  standing: Standing;
  kind: GuardedKind;
  actor: Actor;
  purpose: string;
}

/** The refusal of a kind that is locked out, which is counted and told in one audit event when the lockout is over. */
export async function judgeLockout(
  deps: Pick<VerificationDeps, "db" | "log">,
  guarded: LockoutSubject,
): Promise<{ outcome: "locked-out"; lockedUntil: Date } | undefined> {
  const { standing, kind } = guarded;
  const until = lockedUntil(standing, kind);
  return until ? refuseLockedOut(deps, guarded, until) : undefined;
}

async function refuseLockedOut(
  deps: Pick<VerificationDeps, "db" | "log">,
  { standing, kind, actor, purpose }: LockoutSubject,
  until: Date,
): Promise<{ outcome: "locked-out"; lockedUntil: Date }> {
  const { id: userId } = standing.user;
  await countRefusal(deps.db, userId, kind);
  deps.log.info(
    { ...factsOf(actor), userId, method: kind, purpose, lockedUntil: until },
    "code refused during a lockout",
  );
  return { outcome: "locked-out", lockedUntil: until };
}

async function judgeTotp(deps: GuardDeps, guarded: GuardedCode): Promise<JudgedCode> {
  const { standing, against } = guarded;
  const secret = await openSealed(deps.keys, { purpose: "totp-secret", owner: standing.user.id }, against);
  if (secret.kind !== "opened") return refuseUnreadable(deps, guarded, secret, against.keyId);
  const typed = canonicalTotp(guarded.code.codeAsTyped);
  const step = matchTotpStep(secret.plain, typed, deps.clock.now(), deps.mfa.totp.windowSteps);
  if (step !== undefined) requireWaiting(guarded.signal);
  const attempt = attemptOf(guarded, mismatchOf(typed, step));
  const code = { authenticatorId: against.id, state: against.state, step };
  return {
    outcome: "judged",
    mayBeAccepted: async (db) => step !== undefined && isStepUnspent(db, { ...code, step }),
    settle: async (db) => answerOf(deps.log, attempt, await spendStep(db, attempt, deps.mfa.lockout, code)),
  };
}

async function judgeBackupCode(
  deps: GuardDeps,
  guarded: GuardedCode,
  set: BackupCodeSet | undefined,
): Promise<JudgedCode> {
  if (!set) throw new Error("an active authenticator has no backup codes");
  const hashes = await openSealed(
    deps.keys,
    { purpose: "backup-codes", owner: guarded.standing.user.id },
    set,
  );
  if (hashes.kind !== "opened") return refuseUnreadable(deps, guarded, hashes, set.keyId);
  const typed = canonicalBackupCode(guarded.code.codeAsTyped);
  // What cannot be a code is not worth a hash; that the answer comes sooner tells no more than the alphabet does.
  const hashed =
    typed === undefined ? undefined : await hashUnlessLocked(deps, guarded, { ...set, canonicalCode: typed });
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

// A code that was not hashed was not looked at, and is neither right nor wrong: it is refused by the lockout that came while it
// stood in line, or it stands in line again where that one is over.
async function hashUnlessLocked(
  deps: GuardDeps,
  { standing, actor, purpose }: GuardedCode,
  typed: HashInput,
): Promise<{ hash: Buffer } | CodeRefusal> {
  const kind = "backup-code";
  const findEnd = () => findLockoutEnd(deps.db, standing.user.id, kind);
  for (;;) {
    const hash = await deps.hasher.hash(typed, async () => (await findEnd()) === undefined);
    if (hash) return { hash };
    const until = await findEnd();
    if (until) return refuseLockedOut(deps, { standing, kind, actor, purpose }, until);
  }
}

function mismatchOf(typed: string | undefined, match: number | undefined): Attempt["mismatch"] {
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

/** The guard's answer, and a line for the operator where the code was refused. */
export function answerOf(log: Log, attempt: Attempt, settled: GuardOutcome | undefined): SettledCode {
  if (!settled) throw new Error("the user has an authenticator and no lockout row; no code can be taken");
  if (settled.outcome === "accepted") return { outcome: "accepted" };
  const { actor, userId, method, details } = attempt;
  const { outcome, lockedUntil } = settled;
  const facts = { ...factsOf(actor), userId, method, ...details };
  if (outcome === "locked-out" && lockedUntil) {
    log.info({ ...facts, lockedUntil }, "code refused during a lockout");
    return { outcome: "locked-out", lockedUntil };
  }
  log.info({ ...facts, outcome }, "code refused");
  if (settled.state !== "active") return { outcome: "user-not-active", state: settled.state };
  if (lockedUntil) log.info({ ...facts, lockedUntil }, "user locked out");
  return { outcome: "code-rejected" };
}

function factsOf({ name, requestId }: Actor) {
  return { requestId: requestId ?? null, actor: name };
}

async function refuseUnreadable(
  deps: GuardDeps,
  guarded: GuardedCode,
  opened: Exclude<Opened, { kind: "opened" }>,
  keyId: string,
): Promise<CodeRefusal> {
  const details = { reason: opened.kind, keyId };
  deps.log.error({ userId: guarded.standing.user.id, ...details }, "stored secret cannot be opened");
  await recordAlone(deps, guarded, { action: "seal-broken", outcome: "refused", details });
  return { outcome: "secret-unreadable", reason: opened.kind };
}

async function recordAlone(
  deps: GuardDeps,
  guarded: GuardedCode,
  event: Pick<NewAuditEvent, "action" | "outcome" | "details">,
): Promise<void> {
  const { user } = guarded.standing;
  const details = { method: guarded.code.method, purpose: guarded.purpose, ...event.details };
  await inTransaction(deps.db, (trx) =>
    recordAuditEvent(trx, {
      ...event,
      actor: guarded.actor,
      userId: user.id,
      directory: user.directory,
      details,
    }),
  );
}
