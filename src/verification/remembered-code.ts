// A TOTP code compared with the authenticator that is remembered of its name, and spent where that is still the user's: one statement in
// place of two. Whatever is not exactly as remembered is left to code-guard.ts, which looks first.

import type { Actor } from "../audit/audit-events-table.ts";
import { openSealed } from "../sealing/sealing-keys.ts";
import type { TypedCode, UserName } from "./answers.ts";
import { type GuardDeps, mismatchOf } from "./code-guard.ts";
import { answerOf, type CodePurpose, type SettledCode } from "./code-refusals.ts";
import { canonicalTotp } from "./codes.ts";
import type { VerificationDeps } from "./deps.ts";
import type { SpentStep } from "./named-batch-table.ts";
import { matchTotpStep } from "./totp.ts";
import { requireWaiting } from "./waiting-caller.ts";

export interface NamedCode {
  name: UserName;
  code: TypedCode;
  purpose: CodePurpose;
  actor: Actor;
  signal: AbortSignal | undefined;
}

/**
 * As `takeCode` would answer, with who they are; undefined where nothing was judged. Throws AppError `aborted` for a right
 * code whose caller has gone.
 */
export async function takeRememberedTotp(
  deps: GuardDeps & Pick<VerificationDeps, "directories">,
  { name, code, purpose, actor, signal }: NamedCode,
): Promise<(Omit<SpentStep, "outcome"> & { settled: SettledCode }) | undefined> {
  const remembered = deps.together.rememberedOf(name);
  if (!remembered) return undefined;
  const { userId, directory } = remembered;
  const secret = await openSealed(deps.keys, { purpose: "totp-secret", owner: userId }, remembered);
  if (secret.kind !== "opened") return undefined;
  const typed = canonicalTotp(code.codeAsTyped);
  const step = matchTotpStep(secret.plain, typed, deps.clock.now(), deps.mfa.totp.windowSteps);
  if (step !== undefined) requireWaiting(signal);
  const attempt = {
    ...{ userId, directory, method: code.method, actor, details: { purpose } },
    mismatch: mismatchOf(typed, step),
  };
  const spent = await deps.together.spendNamedStep({
    ...{ name, attempt, signal, limits: deps.mfa.lockout, directories: deps.directories },
    code: { authenticatorId: remembered.authenticatorId, state: "active", step },
    sealed: remembered.sealed,
  });
  if (!spent) return undefined;
  const { outcome, ...rest } = spent;
  return { settled: answerOf(deps.log, attempt, outcome), ...rest };
}
