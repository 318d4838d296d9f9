// The user: the stored copy of a directory entry, with the flags that decide about MFA. Pure.

export type UserState = "active" | "disabled" | "removed";

export interface UserGroup {
  name: string;
  nameKey: string;
  dnKey: string;
}

export interface User {
  id: string;
  directory: string;
  /** The entry's immutable id; with the directory it is what the user is (rule 1). */
  directoryId: string;
  username: string;
  displayName: string | null;
  email: string | null;
  dn: string;
  state: UserState;
  groups: UserGroup[];
  /** Decided once, when the user was first stored (rule 12). */
  requiredNewUser: boolean;
  /** What an admin decided for this user; null when none did. */
  requiredByAdmin: boolean | null;
  /** When the present requirement began, by the database clock; null while nothing requires MFA. */
  requiredSince: Date | null;
  /** Fixed when the requirement began; until then an unenrolled user may defer (rule 13). */
  enrollmentDeadline: Date | null;
  createdAt: Date;
  changedAt: Date;
  removedAt: Date | null;
}

/** A user that a sign-in name may mean. `match` says by what: a live username, an alias, or the name of a removed user. */
export interface NamedUser {
  match: "username" | "alias" | "removed";
  user: User;
}

export type NameMatch =
  | { kind: "user"; user: User }
  | { kind: "unknown" }
  /** The username lives in more than one directory; the caller has to say which. */
  | { kind: "ambiguous"; directories: string[] };

/**
 * Rule 3: a live username comes before an alias, an alias before a removed user. An alias that two users share matches
 * neither. Of several removed users the one removed last is meant.
 */
export function chooseNamedUser(candidates: readonly NamedUser[]): NameMatch {
  const byUsername = candidates.filter((candidate) => candidate.match === "username");
  if (byUsername.length > 1) {
    return { kind: "ambiguous", directories: byUsername.map(({ user }) => user.directory).sort() };
  }
  const byAlias = candidates.filter((candidate) => candidate.match === "alias");
  const live = byUsername[0] ?? (byAlias.length === 1 ? byAlias[0] : undefined);
  if (live) return { kind: "user", user: live.user };
  if (byAlias.length > 1) return { kind: "unknown" };
  const removed = candidates
    .map(({ user }) => user)
    .toSorted((a, b) => (b.removedAt?.getTime() ?? 0) - (a.removedAt?.getTime() ?? 0))[0];
  return removed ? { kind: "user", user: removed } : { kind: "unknown" };
}
