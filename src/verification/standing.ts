// What follows from where a user stands, before any code is looked at. Pure.

import type { GuardedKind, UserRefusal } from "./answers.ts";
import type { NamedStanding, Standing } from "./standing-table.ts";

/**
 * The standing of an active user, or why there is none. Only active users enroll, verify and change their MFA. `directories`
 * are the configured ones: of a user of another nobody knows any more who may sign in.
 */
export function requireActive(
  named: NamedStanding,
  directories: readonly string[],
): { outcome: "active"; standing: Standing } | UserRefusal {
  if (named.kind === "unknown") return { outcome: "user-unknown" };
  if (named.kind === "ambiguous") return { outcome: "username-ambiguous", directories: named.directories };
  const { state, directory } = named.standing.user;
  if (state === "active" && !directories.includes(directory)) {
    return { outcome: "user-not-active", state: "directory-not-configured" };
  }
  return state === "active"
    ? { outcome: "active", standing: named.standing }
    : { outcome: "user-not-active", state };
}

/** Until when the kind of code is locked out, or null when it is not, by the database's clock. */
export function lockedUntil<Kind extends GuardedKind>(
  standing: { now: Date; lockouts: Record<Kind, { lockedUntil: Date | null }> },
  method: Kind,
): Date | null {
  const until = standing.lockouts[method].lockedUntil;
  return until !== null && until > standing.now ? until : null;
}
