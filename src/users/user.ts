// The user: the stored copy of a directory entry, with the flags that decide about MFA. Pure.

export const userStates = ["active", "disabled", "removed"] as const;

export type UserState = (typeof userStates)[number];

export interface UserGroup {
  name: string;
  nameKey: string;
  dnKey: string;
  /** The policy names it, or named it by an earlier name or DN. */
  required: boolean;
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
  /** What the policy in force requires: MFA of everybody and of the user's directory, and a pass to enroll with. */
  policyRequires: { organization: boolean; directory: boolean; enrollmentPass: boolean };
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
export interface NamedUser<Found = User> {
  match: "username" | "alias" | "removed";
  user: Found;
}

/** What of a user decides between candidates. */
type Candidate = Pick<User, "directory" | "removedAt">;

export type NameMatch<Found = User> =
  | { kind: "user"; user: Found }
  | { kind: "unknown" }
  /** The name is that of live users in more than one directory; the caller has to say which. */
  | { kind: "ambiguous"; directories: string[] };

/**
 * Rule 3. Each directory says whom it knows by that name: a live username comes before an alias, an alias before a removed
 * user, and an alias that two of its users share matches neither. Live users of two directories are ambiguous, whatever
 * the name is to them: a username in one must not decide who is meant by an alias in another. Of several removed users
 * the one removed last is meant, and only where no directory knows a live user.
 */
export function chooseNamedUser<Found extends Candidate>(
  candidates: readonly NamedUser<Found>[],
): NameMatch<Found> {
  const byDirectory = Map.groupBy(candidates, ({ user }) => user.directory);
  const live = [...byDirectory.values()].map(chooseLiveUser).filter((user) => user !== undefined);
  const [first, second] = live;
  if (first && !second) return { kind: "user", user: first };
  if (first) return { kind: "ambiguous", directories: live.map(({ directory }) => directory).sort() };
  if (candidates.some(({ match }) => match === "alias")) return { kind: "unknown" };
  const removed = candidates
    .map(({ user }) => user)
    .toSorted((a, b) => (b.removedAt?.getTime() ?? 0) - (a.removedAt?.getTime() ?? 0))[0];
  return removed ? { kind: "user", user: removed } : { kind: "unknown" };
}

/** Among the candidates of one directory. */
function chooseLiveUser<Found>(candidates: readonly NamedUser<Found>[]): Found | undefined {
  const byUsername = candidates.find(({ match }) => match === "username");
  if (byUsername) return byUsername.user;
  const byAlias = candidates.filter(({ match }) => match === "alias");
  return byAlias.length === 1 ? byAlias[0]?.user : undefined;
}
