// F7 and F8: the second step of a sign-in. Checks a TOTP or backup code and spends it.

import type { TypedCode, UserInput, VerifyCodeAnswer } from "./answers.ts";
import { type GuardDeps, takeCode } from "./code-guard.ts";
import type { VerificationDeps } from "./deps.ts";
import { takeRememberedTotp } from "./remembered-code.ts";
import { requireActive } from "./standing.ts";

/** Only `accepted` lets the user in, and it is answered at most once for any code. */
export async function verifyCode(
  deps: GuardDeps & Pick<VerificationDeps, "directories">,
  input: UserInput & { code: TypedCode },
): Promise<VerifyCodeAnswer> {
  const { name, code, actor, signal } = input;
  const purpose = "sign-in";
  const spent =
    code.method === "totp"
      ? await takeRememberedTotp(deps, { name, code, purpose, actor, signal })
      : undefined;
  if (spent) {
    if (spent.settled.outcome !== "accepted") return spent.settled;
    const { user, backupCodesRemaining } = spent;
    return { outcome: "accepted", method: "totp", user, backupCodesRemaining };
  }

  const found = requireActive(await deps.together.findStanding(name), deps.directories);
  if (found.outcome !== "active") return found;
  const { standing } = found;
  const { user, authenticator, backupCodes } = standing;
  if (!authenticator) return { outcome: "not-enrolled" };

  const taken = await takeCode(deps, { standing, against: authenticator, code, purpose, actor, signal });
  if (taken.outcome !== "accepted") return taken;

  const backupCodesRemaining = (backupCodes?.remaining ?? 0) - (code.method === "backup-code" ? 1 : 0);
  return { outcome: "accepted", method: code.method, user, backupCodesRemaining };
}
