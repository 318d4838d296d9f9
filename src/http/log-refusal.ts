// Refused calls in the operator's log: who knocks without a token, who asks for too much. Never a token, a name that was typed,
// or a body. How many lines there may be is bounded in log.ts.

import type { FastifyRequest } from "fastify";
import type { Log, phrasesOfRequests } from "../log.ts";
import type { ProblemCode } from "./problems.ts";

type Phrase = (typeof phrasesOfRequests)[number];

// Refused codes are told by the guard, which knows whose they are.
const phrases: Partial<Record<ProblemCode, Phrase>> = {
  unauthorized: "call refused: no valid token",
  forbidden: "call refused: outside the caller's scopes",
  "rate-limited": "call refused: beyond the rate",
};

/** One line at `info` for a refusal that says something about the caller; none for the others. */
export function logRefusal(log: Log, request: FastifyRequest, facts: object, code: ProblemCode): void {
  const phrase = phrases[code];
  if (phrase) log.info({ ...facts, remoteAddress: request.ip }, phrase);
}
