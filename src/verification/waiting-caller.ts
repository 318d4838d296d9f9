// Nothing is granted to a caller that waits no longer: a code spent or an authenticator activated for nobody is lost to the user.

import { AppError } from "../errors.ts";

/** Throws AppError `aborted` when whoever asked has gone, or has been told that there is no answer in time. */
export function requireWaiting(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw givenUp();
}

export function givenUp(): AppError {
  return new AppError("aborted", "The request was given up before it was done.");
}
