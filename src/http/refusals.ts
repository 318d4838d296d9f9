// What a flow refused, as a problem. The flows' outcomes are the problem codes; here they get their members and times.

import type { RequirementReason } from "../users/policy.ts";
import type { CodeRefusal, UserRefusal } from "../verification/answers.ts";
import { ProblemAnswer } from "./problems.ts";

export type Refusal =
  | UserRefusal
  | CodeRefusal
  | { outcome: "not-enrolled" | "already-enrolled" | "enrollment-expired" | "enrollment-pass-required" }
  | { outcome: "mfa-required"; requiredBy: RequirementReason[] };

/** To be thrown by the route. */
export function refusalAnswer(refusal: Refusal, now: Date): ProblemAnswer {
  switch (refusal.outcome) {
    case "username-ambiguous":
      return new ProblemAnswer({
        code: "username-ambiguous",
        detail: 'Name one of the directories in the field "directory".',
        members: { directories: refusal.directories },
      });
    case "user-not-active":
      return new ProblemAnswer({ code: "user-not-active", members: { state: refusal.state } });
    case "locked-out": {
      const leftMs = refusal.lockedUntil.getTime() - now.getTime();
      return new ProblemAnswer({
        code: "locked-out",
        retryAfterSeconds: Math.max(1, Math.ceil(leftMs / 1000)),
        members: { lockedUntil: refusal.lockedUntil.toISOString() },
      });
    }
    case "mfa-required":
      return new ProblemAnswer({ code: "mfa-required", members: { requiredBy: refusal.requiredBy } });
    // Logged and audited by the flow; it is nothing that the user or the caller can do anything about. A key that is missing
    // here may be there on another replica, or be copied soon.
    case "secret-unreadable":
      return new ProblemAnswer({ code: refusal.reason === "key-missing" ? "unavailable" : "internal" });
    default:
      return new ProblemAnswer({ code: refusal.outcome });
  }
}
