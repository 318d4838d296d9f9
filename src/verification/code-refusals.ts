// The answer to a code that was looked at, and for one that is not accepted the log line for the operator, and the audit event where the
// guard's statement (guard-table.ts) has not written it.

import { type Actor, type NewAuditEvent, recordAuditEvent } from "../audit/audit-events-table.ts";
import type { Log } from "../log.ts";
import type { Opened } from "../sealing/sealing-keys.ts";
import type { Database } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import type { CodeRefusal, GuardedKind, UserNotActive } from "./answers.ts";
import type { VerificationDeps } from "./deps.ts";
import type { Attempt, GuardOutcome } from "./guard-table.ts";
import { countRefusal } from "./lockouts-table.ts";
import { lockedUntil } from "./standing.ts";
import type { Standing } from "./standing-table.ts";

/** What a code was typed for; told to the auditor. */
export type CodePurpose =
  | "sign-in"
  | "begin-enrollment"
  | "confirm-enrollment"
  | "replace-authenticator"
  | "disable"
  | "regenerate";

/** The user's state is looked at with the code: it may have changed while the code waited for its hash. */
export type SettledCode = { outcome: "accepted" } | CodeRefusal | UserNotActive;

/** Whose code it is, and what for. */
export interface CodeSubject {
  standing: Standing;
  kind: GuardedKind;
  actor: Actor;
  purpose: CodePurpose;
}

/** The refusal while the kind of code is locked out. Refusals are counted, and one audit event tells their number when the lockout is over. */
export async function judgeLockout(
  deps: Pick<VerificationDeps, "db" | "log">,
  guarded: CodeSubject,
): Promise<{ outcome: "locked-out"; lockedUntil: Date } | undefined> {
  const { standing, kind } = guarded;
  const until = lockedUntil(standing, kind);
  return until ? refuseLockedOut(deps, guarded, until) : undefined;
}

export async function refuseLockedOut(
  deps: Pick<VerificationDeps, "db" | "log">,
  { standing, kind, actor, purpose }: CodeSubject,
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

export async function refuseUnreadable(
  deps: Pick<VerificationDeps, "db" | "log">,
  subject: CodeSubject,
  opened: Exclude<Opened, { kind: "opened" }>,
  keyId: string,
): Promise<CodeRefusal> {
  const details = { reason: opened.kind, keyId };
  deps.log.error({ userId: subject.standing.user.id, ...details }, "stored secret cannot be opened");
  await recordAlone(deps.db, subject, { action: "seal-broken", outcome: "refused", details });
  return { outcome: "secret-unreadable", reason: opened.kind };
}

async function recordAlone(
  db: Database,
  { standing, kind, actor, purpose }: CodeSubject,
  event: Pick<NewAuditEvent, "action" | "outcome" | "details">,
): Promise<void> {
  const { user } = standing;
  const details = { method: kind, purpose, ...event.details };
  await inTransaction(db, (trx) =>
    recordAuditEvent(trx, {
      ...event,
      actor,
      userId: user.id,
      directory: user.directory,
      details,
    }),
  );
}
