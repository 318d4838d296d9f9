// The id of what somebody asked for: a request, a command, or all that a daemon does by itself.
// It is in no folder, since http, console, cli and the daemon all make one.

import { randomUUID } from "node:crypto";

/** Nobody else has the same one; safe in logs, headers and URLs. */
export function newRequestId(): string {
  // Node draws the randomness of many UUIDs at once, where bytes are a call of the system each time. 90 of these bits are random.
  return Buffer.from(randomUUID().replaceAll("-", ""), "hex").toString("base64url").slice(0, 16);
}
