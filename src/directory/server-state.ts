// Compares how far a server's copy had got in two listings. Pure.

import type { ServerIdentity } from "./listing-page.ts";

/**
 * True when `current` is behind `previous`, both from one server: it was restored from a backup, or is a replica behind a
 * shared name that lags. Understands Active Directory's highestCommittedUSN (one number) and OpenLDAP's contextCSN (one
 * change number for each server that takes writes, its id third: 20260131120000.000001Z#000000#001#000000). False where
 * a server does not tell, or in a form that is not known.
 */
export function isOlderState(previous: string | null, current: string | null): boolean {
  if (previous === null || current === null) return false;
  if (isNumber(previous) && isNumber(current)) return BigInt(current) < BigInt(previous);
  const now = changeNumbers(current);
  if (now.size === 0) return false;
  for (const [serverId, change] of changeNumbers(previous)) {
    const reached = now.get(serverId);
    // Of equal length and layout, so they compare as text.
    if (reached === undefined || reached < change) return true;
  }
  return false;
}

/**
 * True when the copy that answered now is behind the one that answered before. OpenLDAP's change numbers count for the
 * whole directory, so they can be compared between its servers. A USN counts for one server, and numbers of different suffixes
 * cannot be compared.
 */
export function isOlderCopy(previous: KnownCopy, current: KnownCopy): boolean {
  if (!isOlderState(previous.state, current.state)) return false;
  if (previous.identity === current.identity) return true;
  const isUsn = isNumber(current.state ?? "");
  return !isUsn && suffixIn(previous.identity) === suffixIn(current.identity);
}

export type KnownCopy = Pick<ServerIdentity, "identity" | "state">;

// As server-identity.ts writes it, the id of the suffix stands behind the server's name.
function suffixIn(identity: string): string {
  return identity.slice(identity.lastIndexOf("|"));
}

function isNumber(state: string): boolean {
  return /^\d{1,20}$/.test(state); // 64 bits have up to 20 digits
}

function changeNumbers(state: string): Map<string, string> {
  const numbers = state.matchAll(/(\d{14}\.\d{6}Z#[0-9a-f]{6})#([0-9a-f]{3})#[0-9a-f]{6}/g);
  return new Map([...numbers].map(([, change = "", serverId = ""]) => [serverId, change]));
}

/** What `current` does not have of `previous`, one sentence each, for people. */
export function changesLost(previous: string | null, current: string | null): string[] {
  if (!isOlderState(previous, current)) return [];
  if (isNumber(previous ?? "")) return [`It was at change ${previous}, and is at ${current}.`];
  const now = changeNumbers(current ?? "");
  return [...changeNumbers(previous ?? "")].flatMap(([serverId, change]) => {
    const reached = now.get(serverId);
    if (reached === undefined)
      return [`It has no change of server ${serverId} any more, and had one of ${change}.`];
    return reached < change ? [`Of server ${serverId} it had ${change}, and has ${reached}.`] : [];
  });
}
