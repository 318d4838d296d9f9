// Rule 3: which of the entries that claim a username lose it. Pure, and linear: a chain of thousands of renames is one walk.

/** An entry that claims a name which another entry claims too, or which a user other than its own holds. */
export interface ContestedClaim {
  directoryId: string;
  /** The live user, other than the entry's own, that holds the name; null where another entry claims it and nobody holds it. */
  holderId: string | null;
  /** It loses whatever becomes of others: the holder keeps the name, or nobody has it and several claim it. */
  loses: boolean;
}

/**
 * The directory ids of the entries that lose. Whose entry loses keeps the stored name, so whoever claims that one loses as well,
 * and so on along the chain.
 */
export function decideNameClashes(claims: readonly ContestedClaim[]): string[] {
  const claimantsOf = new Map<string, string[]>();
  for (const { directoryId, holderId } of claims) {
    if (holderId === null) continue;
    const claimants = claimantsOf.get(holderId);
    if (claimants === undefined) claimantsOf.set(holderId, [directoryId]);
    else claimants.push(directoryId);
  }
  const losing = new Set(claims.filter(({ loses }) => loses).map(({ directoryId }) => directoryId));
  // A set is walked in the order of insertion, what is added on the way included.
  for (const id of losing) for (const claimant of claimantsOf.get(id) ?? []) losing.add(claimant);
  return [...losing];
}
