// Who calls and what they may: bearer tokens against the SHA-256 in the configuration, scopes, rates and the acting person.
// Keeps no token and logs none.
//
// Failed attempts are not counted by remote address: a token has 256 random bits, so counting would protect nothing,
// while one bad caller behind a shared proxy would stop all the others, and the table of addresses could be flooded.

import { createHash, timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { actorMaxLength, isActorName } from "../audit/actor-name.ts";
import type { Actor } from "../audit/audit-events-table.ts";
import type { Clock } from "../clock.ts";
import type { CallerConfig, Scope } from "../config/config.ts";
import { usernameKeyOf } from "../username.ts";
import type { UserName } from "../verification/answers.ts";
import { ProblemAnswer } from "./problems.ts";
import { createRateLimit, createRateLimits } from "./rate-limit.ts";

export interface Caller {
  name: string;
  scopes: readonly Scope[];
  /**
   * It may enroll users: false for one that has a front door and is not marked as one that has checked the password
   * (rule 29). The API is open to it as well, and must not hand out what its door does not.
   */
  mayEnroll: boolean;
  /** Counts a request, about that user where it names one. Throws a ProblemAnswer when one of the two rates is used up. */
  takeTurn(about: UserName | undefined): void;
}

/** The caller that the Authorization header proves, with one of `scopes`; throws a ProblemAnswer otherwise. */
export type Authorize = (authorization: string | undefined, scopes: readonly Scope[]) => Caller;

// RFC 6750's token characters; 512 is four times what `dirmfa token create` prints, so hashing stays cheap.
const bearer = /^Bearer +([A-Za-z0-9._~+/=-]{1,512})$/i;

export function createAuthorize(callers: readonly CallerConfig[], clock: Clock): Authorize {
  const known = callers.flatMap((configured) => {
    const { name, scopes, tokenSha256, furtherTokensSha256, protocol, checksPassword } = configured;
    const mayEnroll = protocol === "api" || checksPassword;
    const caller = { name, scopes, mayEnroll, takeTurn: createTurns(configured, clock) };
    const tokenHashes = [tokenSha256, ...furtherTokensSha256].map((hash) => Buffer.from(hash, "hex"));
    return tokenHashes.map((tokenHash) => ({ caller, tokenHash }));
  });

  return (authorization, scopes) => {
    const token = bearer.exec(authorization ?? "")?.[1];
    if (token === undefined) throw new ProblemAnswer({ code: "unauthorized" });
    const tokenHash = createHash("sha256").update(token).digest();
    // Every token is compared, the match included, so that the time does not tell which one it was.
    let found: Caller | undefined;
    for (const entry of known) {
      if (entry.tokenHash.length === tokenHash.length && timingSafeEqual(entry.tokenHash, tokenHash))
        found = entry.caller;
    }
    if (!found) throw new ProblemAnswer({ code: "unauthorized" });
    if (!found.scopes.some((scope) => scopes.includes(scope))) {
      const needed = scopes.map((scope) => `"${scope}"`).join(", ");
      const detail = `The call needs ${scopes.length > 1 ? "one of the scopes" : "the scope"} ${needed}.`;
      throw new ProblemAnswer({ code: "forbidden", detail });
    }
    return found;
  };
}

/** The user's rate comes first: a flood on one user does not use up the caller's, which the others need. */
function createTurns(configured: CallerConfig, clock: Clock): Caller["takeTurn"] {
  const ofCaller = createRateLimit(configured.requestsPerSecond, clock);
  const ofUsers = createRateLimits(configured.requestsPerSecondPerUser, clock);
  return (about) => {
    const forUser = about ? ofUsers.take(nameKeyOf(about)) : 0;
    const retryAfterSeconds = forUser || ofCaller.take();
    if (retryAfterSeconds > 0) throw new ProblemAnswer({ code: "rate-limited", retryAfterSeconds });
  };
}

// By the name as typed, before the database is asked: each spelling of a user, such as an alias, has a separate rate.
function nameKeyOf({ username, directory }: UserName): string {
  return JSON.stringify([directory, usernameKeyOf(username)]);
}

/**
 * Who an admin call acts for. X-Actor is the caller's word, so the caller is always named with it:
 * `alice (caller:help-desk)`. Without the header it is `caller:help-desk`. UTF-8 is understood.
 */
export function actorOf(caller: Pick<Caller, "name">, header: string | string[] | undefined): Actor {
  const callerName = `caller:${caller.name}`;
  if (header === undefined) return { name: callerName, via: "api" };
  const person = typeof header === "string" ? utf8Of(header)?.trim() : undefined;
  if (person === undefined || !isActorName(person)) {
    throw new ProblemAnswer({
      code: "invalid-request",
      detail: `X-Actor must be 1 to ${actorMaxLength} visible characters in UTF-8.`,
      members: { field: "X-Actor" },
    });
  }
  return { name: `${person} (${callerName})`, via: "api" };
}

/** Who an admin call acts for. */
export function actorOfRequest(request: Pick<FastifyRequest, "caller" | "headers" | "id">): Actor {
  return { ...actorOf(callerOf(request), request.headers["x-actor"]), requestId: request.id };
}

/** The caller itself, for calls in which the user acts through it. */
export function callerActorOf(request: Pick<FastifyRequest, "caller" | "id">): Actor {
  return { ...actorOf(callerOf(request), undefined), requestId: request.id };
}

function callerOf({ caller }: Pick<FastifyRequest, "caller">): Caller {
  if (!caller) throw new Error("an open route has no caller");
  return caller;
}

/** Node reads header bytes as Latin-1; undefined when they are not UTF-8. */
function utf8Of(latin1: string): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(latin1, "latin1"));
  } catch {
    return undefined;
  }
}
