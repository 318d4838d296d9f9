// Rule 31: an enrollment pass shows that whoever enrolls was sent by the help desk, and does not only have the password. Made
// and shown here once; what stays is its hash. A pass goes through the guard that all codes go through.

import { createHash, timingSafeEqual } from "node:crypto";
import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import type { Transaction } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import type { Identification, IssuedPass, IssueEnrollmentPassAnswer } from "./answers.ts";
import type { JudgedCode } from "./code-guard.ts";
import { answerOf, judgeLockout } from "./code-refusals.ts";
import { canonicalEnrollmentPass, enrollmentPassLength, printedCode, textFrom } from "./codes.ts";
import type { VerificationDeps } from "./deps.ts";
import { findPass, upsertPass } from "./enrollment-passes-table.ts";
import { spendPass } from "./guard-table.ts";
import { clearLockouts, ensureLockouts } from "./lockouts-table.ts";
import { holdStanding, type Standing } from "./standing-table.ts";
import { requireWaiting } from "./waiting-caller.ts";

type IssueDeps = Pick<VerificationDeps, "db" | "randomBytes" | "mfa">;

/**
 * Gives a user without an authenticator a pass, in place of any other. A disabled user may get one for the day on which the
 * directory enables them.
 */
export async function issueEnrollmentPass(
  deps: IssueDeps,
  input: { userId: string; actor: Actor; identified?: Identification | undefined },
): Promise<IssueEnrollmentPassAnswer> {
  return inTransaction(deps.db, async (trx) => {
    const held = await holdStanding(trx, input.userId);
    if (held.kind !== "user") return { outcome: "user-unknown" };
    const { user, authenticator } = held.standing;
    if (user.state === "removed") return { outcome: "user-not-active", state: "removed" };
    if (authenticator) return { outcome: "already-enrolled" };
    return { outcome: "issued", pass: await storeNewPass(trx, deps, { standing: held.standing, ...input }) };
  });
}

/** The user must be locked and have no authenticator. Wrong passes before this one are forgotten. */
export async function storeNewPass(
  trx: Transaction,
  deps: IssueDeps,
  input: {
    standing: Standing;
    actor: Actor /** How it was seen that it is them. */;
    identified?: Identification | undefined;
  },
): Promise<IssuedPass> {
  const { id: userId, directory } = input.standing.user;
  const pass = textFrom(deps.randomBytes(enrollmentPassLength));
  await clearLockouts(trx, userId, ["enrollment-pass"]);
  const expiresAt = await upsertPass(trx, {
    userId,
    hash: passHash(userId, pass),
    expiresAfterMs: deps.mfa.enrollmentPassExpiresMs,
  });
  await recordAuditEvent(trx, {
    actor: input.actor,
    action: "enrollment-pass-issue",
    userId,
    directory,
    outcome: "done",
    details: { expiresAt, ...(input.identified === undefined ? {} : { identified: input.identified }) },
  });
  return { passPlain: printedCode(pass), expiresAt };
}

const purpose = "begin-enrollment";

/** Refuses at once while passes are locked out. `settle` must run under the user's lock, in the transaction that stores. */
export async function judgePass(
  deps: Pick<VerificationDeps, "db" | "mfa" | "log">,
  input: { standing: Standing; passAsTyped: string; actor: Actor; signal: AbortSignal | undefined },
): Promise<JudgedCode> {
  const { standing, actor, signal } = input;
  const { id: userId, directory } = standing.user;
  const refused = await judgeLockout(deps, { standing, kind: "enrollment-pass", actor, purpose });
  if (refused) return refused;
  const typed = canonicalEnrollmentPass(input.passAsTyped);
  const hash = typed === undefined ? undefined : passHash(userId, typed);
  return {
    outcome: "judged",
    mayBeAccepted: async () => hash !== undefined,
    async settle(db) {
      const stored = hash && (await findPass(db, userId));
      const isRight = hash !== undefined && stored !== undefined && timingSafeEqual(stored.hash, hash);
      if (isRight) requireWaiting(signal);
      await ensureLockouts(db, userId, ["enrollment-pass"]);
      const mismatch = isRight ? undefined : hash ? ("wrong-code" as const) : ("malformed" as const);
      const attempt = {
        userId,
        directory,
        method: "enrollment-pass",
        actor,
        mismatch,
        details: { purpose },
      } as const;
      return answerOf(deps.log, attempt, await spendPass(db, attempt, deps.mfa.lockout));
    },
  };
}

/** Bound to the user, so that a row copied to another user opens nothing. No salt and no slow hash: it has 80 random bits. */
export function passHash(userId: string, canonicalPass: string): Buffer {
  return createHash("sha256")
    .update(JSON.stringify(["dirmfa enrollment pass v1", userId, canonicalPass]))
    .digest();
}
