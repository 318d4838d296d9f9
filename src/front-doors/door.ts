// What the front doors share: who may enter, and what of a typed text is a code. A door is closed until the configuration gives a
// caller its protocol (rule 29).

import type { FastifyRequest } from "fastify";
import type { Actor } from "../audit/audit-events-table.ts";
import type { CallerConfig } from "../config/config.ts";
import { type Authorize, actorOf, type Caller } from "../http/caller-auth.ts";
import type { Metrics } from "../http/metrics.ts";
import { ProblemAnswer } from "../http/problems.ts";
import type { TypedCode } from "../verification/answers.ts";
import { canonicalBackupCode, canonicalTotp } from "../verification/codes.ts";
import type { VerificationDeps } from "../verification/deps.ts";
import { tokenOf } from "./credential.ts";

export interface DoorDeps extends VerificationDeps {
  metrics: Pick<Metrics, "countDecision" | "countVerification">;
}

export interface DoorRoutesDeps extends DoorDeps {
  authorize: Authorize;
  callers: readonly CallerConfig[];
}

/** A caller that the configuration opens a door for. */
export interface DoorCaller {
  name: string;
  actor: Actor;
  /** It has checked the user's password before it asks; only then is enrollment material handed out (rule 29). */
  checksPassword: boolean;
  /** It may be told that a user is unknown; everybody else is told no more than that the sign-in is refused. */
  learnsUnknown: boolean;
  /** Counts the request. Must be called before the database is asked. */
  takeTurn: Caller["takeTurn"];
}

/** Lets a caller in by the token of its request, or by `token`. Throws a ProblemAnswer for everybody else. */
export type Enter = (request: FastifyRequest, token?: string) => DoorCaller;

/** Undefined when no caller has the protocol: then the door is not there. */
export function openDoor(deps: DoorRoutesDeps, protocol: CallerConfig["protocol"]): Enter | undefined {
  const known = new Map(
    deps.callers.filter((caller) => caller.protocol === protocol).map((caller) => [caller.name, caller]),
  );
  if (known.size === 0) return undefined;
  return (request, given) => {
    const token = given ?? tokenOf(pathTokenOf(request), request.headers);
    if (token === undefined) throw new ProblemAnswer({ code: "unauthorized" });
    const caller = deps.authorize(`Bearer ${token}`, ["login"]);
    const configured = known.get(caller.name);
    if (!configured) throw new ProblemAnswer({ code: "forbidden" });
    const { checksPassword, learnsUnknown } = configured;
    const { name, takeTurn } = caller;
    return { name, actor: actorOf(caller, undefined), checksPassword, learnsUnknown, takeTurn };
  };
}

/** Routes of a door exist with the token in their path and without. */
function pathTokenOf({ params }: FastifyRequest): string | undefined {
  if (typeof params !== "object" || params === null || !("token" in params)) return undefined;
  return typeof params.token === "string" ? params.token : undefined;
}

/** Undefined for a text without the form of a code: a password that a plugin sends along is no guess of one. */
export function codeIn(typed: string): TypedCode | undefined {
  if (canonicalTotp(typed) !== undefined) return { method: "totp", codeAsTyped: typed };
  if (canonicalBackupCode(typed) !== undefined) return { method: "backup-code", codeAsTyped: typed };
  return undefined;
}
