// Which stored user is which entry, after a directory was restored or moved and its entries have other ids. By a rule that an
// admin states; where it is not plain who is meant, nobody is. Pure.

import { hash } from "node:crypto";

/** `attribute`: the entries have one that holds the id that they had before. */
export type RekeyRule = { by: "username" } | { by: "mail" } | { by: "attribute"; attribute: string };

export interface StoredUser {
  userId: string;
  directoryId: string;
  username: string;
  usernameKey: string;
  email: string | null;
  removed: boolean;
}

export interface ListedEntry {
  directoryId: string;
  dn: string;
  dnKey: string;
  usernameKey: string;
  email: string | null;
  /** Of the rule's attribute. */
  value: string | null;
}

export interface Rekeyed {
  userId: string;
  username: string;
  oldId: string;
  newId: string;
  dn: string;
}

export interface RekeyPlan {
  rekeyed: Rekeyed[];
  /** Users whom the rule gives to several entries, or entries to several users. They keep their ids. */
  ambiguous: { usernames: string[]; dns: string[] }[];
  /** Users who are not listed any more and whom the rule finds nowhere. */
  unmatched: number;
  /** SHA-256 over rule and users: what an admin approves. */
  digest: string;
}

/**
 * Only users whose id is not listed any more get another, and only one that no user has, removed ones included. `skippedIds` are
 * listed by entries that cannot be used.
 */
export function planRekey(
  rule: RekeyRule,
  stored: readonly StoredUser[],
  listed: readonly ListedEntry[],
  skippedIds: readonly string[],
): RekeyPlan {
  const entries = withoutRepeats(listed);
  const listedIds = new Set([...listed.map((entry) => entry.directoryId), ...skippedIds]);
  const storedIds = new Set(stored.map((user) => user.directoryId));
  const live = stored.filter((user) => !user.removed);
  const usersByKey = groupedBy(live, (user) => keyOfUser(rule, user));
  const entriesByKey = groupedBy(entries, (entry) => keyOfEntry(rule, entry));
  const rekeyed: Rekeyed[] = [];
  const ambiguous: RekeyPlan["ambiguous"] = [];
  let unmatched = live.filter((user) => !listedIds.has(user.directoryId)).length;
  for (const [key, users] of usersByKey) {
    const found = entriesByKey.get(key) ?? [];
    const isLost = users.some((user) => !listedIds.has(user.directoryId));
    if (!isLost || found.length === 0) continue;
    const [user] = users;
    const [entry] = found;
    if (users.length === 1 && found.length === 1 && user && entry && !storedIds.has(entry.directoryId)) {
      const { userId, username, directoryId: oldId } = user;
      rekeyed.push({ userId, username, oldId, newId: entry.directoryId, dn: entry.dn });
      unmatched -= 1;
    } else {
      ambiguous.push({ usernames: users.map((one) => one.username), dns: found.map((one) => one.dn) });
      unmatched -= users.filter((one) => !listedIds.has(one.directoryId)).length;
    }
  }
  const ordered = rekeyed.toSorted((a, b) => (a.userId < b.userId ? -1 : 1));
  return { rekeyed: ordered, ambiguous, unmatched, digest: digestOf(rule, ordered) };
}

/** An entry below two bases comes twice and counts once; two entries with one id are none. */
function withoutRepeats(listed: readonly ListedEntry[]): ListedEntry[] {
  const byId = groupedBy(listed, (entry) => entry.directoryId);
  return [...byId.values()].flatMap((same) => {
    const [first] = same;
    return first && same.every((entry) => entry.dnKey === first.dnKey) ? [first] : [];
  });
}

function keyOfUser(rule: RekeyRule, user: StoredUser): string | null {
  if (rule.by === "username") return user.usernameKey;
  return normal(rule.by === "mail" ? user.email : user.directoryId);
}

function keyOfEntry(rule: RekeyRule, entry: ListedEntry): string | null {
  if (rule.by === "username") return entry.usernameKey;
  return normal(rule.by === "mail" ? entry.email : entry.value);
}

// Ids are written with and without braces.
function normal(text: string | null): string | null {
  return (
    text
      ?.trim()
      .toLowerCase()
      .replace(/^\{(.*)\}$/, "$1") || null
  );
}

function groupedBy<Row>(rows: readonly Row[], keyOf: (row: Row) => string | null): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = keyOf(row);
    if (key === null) continue;
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return groups;
}

function digestOf(rule: RekeyRule, rekeyed: readonly Rekeyed[]): string {
  const lines = rekeyed.map(({ userId, oldId, newId }) => `${userId} ${oldId} ${newId}`);
  return hash("sha256", [JSON.stringify(rule), ...lines].join("\n"));
}
