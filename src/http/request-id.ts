// The id of a request: in the answer, in the log, in audit events and in problem documents.

import { newRequestId } from "../request-id.ts";

// Long enough for a UUID or a trace id, too short for a message; no character that a log or a header could trip over.
const cleanRequestId = /^[A-Za-z0-9._-]{8,64}$/;

/** A caller's own id, where it is short and clean, else a random one. */
export function requestIdOf(header: string | string[] | undefined): string {
  return typeof header === "string" && cleanRequestId.test(header) ? header : newRequestId();
}
