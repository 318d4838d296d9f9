// F7, first step: what is asked of a user who has shown the first factor. One statement reads, a pure function decides.

import { decideRequirement, mayDefer } from "../users/policy.ts";
import type {
  Method,
  SignedInUser,
  SignInAnswer,
  SignInDecision,
  SignInReason,
  UserName,
} from "./answers.ts";
import type { VerificationDeps } from "./deps.ts";
import type { SignInStanding } from "./sign-in-standing-table.ts";
import { lockedUntil } from "./standing.ts";

/**
 * Asking any number of times renews no deadline and counts as no attempt. Of a name that is unknown, or whose user is disabled
 * or removed, the directory may know more by now: it is asked, and the answer is that of what is stored then (rule 26).
 */
export async function decideSignIn(
  deps: Pick<VerificationDeps, "together" | "directories" | "readForSignIn">,
  input: { name: UserName },
): Promise<SignInAnswer> {
  const answer = await decideFromStore(deps, input);
  const mayHaveCome = answer.outcome === "decided" && answer.reasons.some((reason) => mayEnd.has(reason));
  if (!mayHaveCome || !(await deps.readForSignIn?.(input.name))) return answer;
  return decideFromStore(deps, input);
}

const mayEnd: ReadonlySet<SignInReason> = new Set(["user-unknown", "user-disabled", "user-removed"]);

async function decideFromStore(
  deps: Pick<VerificationDeps, "together" | "directories">,
  input: { name: UserName },
): Promise<SignInAnswer> {
  const named = await deps.together.findSignInStanding(input.name);
  if (named.kind === "ambiguous") return { outcome: "username-ambiguous", directories: named.directories };
  // Rule 3: a name that matches no one is denied, never "no second factor needed".
  if (named.kind === "unknown") return deny(null, ["user-unknown"]);
  return signInDecision(named.standing, deps);
}

/** Pure. Everything that is not plainly allowed asks for something or denies. `directories` are the configured ones. */
export function signInDecision(
  standing: SignInStanding,
  { directories }: Pick<VerificationDeps, "directories">,
): SignInDecision {
  const { user, now } = standing;
  if (user.state === "removed") return deny(user, ["user-removed"]);
  if (user.state === "disabled") return deny(user, ["user-disabled"]);
  // Nobody tells any more who of them has left; and a name that was mistyped in the configuration must let nobody in.
  if (!directories.includes(user.directory)) return deny(user, ["directory-not-configured"]);
  const requirement = decideRequirement(user);
  if (standing.authenticator) return challenge(standing, requirement.requiredBy);
  if (!requirement.required) return { ...bare, decision: "allow", reasons: ["not-required"], user };
  const enrollment = {
    deadline: requirement.deadline,
    mayDefer: mayDefer(requirement, now),
    passRequired: user.policyRequires.enrollmentPass,
  };
  return { ...bare, decision: "enroll", reasons: requirement.requiredBy, user, enrollment };
}

const bare = {
  outcome: "decided",
  methods: [],
  backupCodesRemaining: 0,
  lockedUntil: null,
  enrollment: null,
} satisfies Partial<SignInDecision>;

function deny(user: SignedInUser | null, reasons: SignInReason[]): SignInDecision {
  return { ...bare, decision: "deny", reasons, user };
}

// Denied only when no kind of code is left to try: a user locked out of TOTP may still have backup codes.
function challenge(standing: SignInStanding, requiredBy: SignInReason[]): SignInDecision {
  const { user, backupCodes } = standing;
  const backupCodesRemaining = backupCodes?.remaining ?? 0;
  const usable: Method[] = backupCodesRemaining > 0 ? ["totp", "backup-code"] : ["totp"];
  const methods = usable.filter((method) => lockedUntil(standing, method) === null);
  const locks = usable.map((method) => lockedUntil(standing, method)).filter((until) => until !== null);
  const reasons: SignInReason[] = ["enrolled", ...requiredBy];
  return {
    outcome: "decided",
    decision: methods.length > 0 ? "challenge" : "deny",
    reasons: methods.length > 0 ? reasons : ["locked-out", ...reasons],
    user,
    methods,
    backupCodesRemaining,
    lockedUntil: locks.toSorted((a, b) => a.getTime() - b.getTime())[0] ?? null,
    enrollment: null,
  };
}
