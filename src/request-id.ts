// The id of what somebody asked for: a request, a command, or all that a daemon does by itself.
// It is in no folder, since http, console, cli and the daemon all make one.

import { randomBytes } from "node:crypto";

/** Nobody else has the same one; safe in logs, headers and URLs. */
export function newRequestId(): string {
  return randomBytes(12).toString("base64url");
}
