// The mark of an incremental run (rule 25): the server's last change as a text that is stored, and from which change on the next
// run has to ask. Pure.

import type { DirectoryKind } from "../config/config.ts";
import type { FilterPart } from "../ldap-text/filter-text.ts";
import type { RootDse } from "./kinds.ts";
import type { DeltaDoubt, ServerIdentity } from "./listing-page.ts";

/** The attribute in which a kind of server numbers the change of every entry. */
const changeAttributes: Readonly<Partial<Record<DirectoryKind, string>>> = {
  openldap: "entryCSN",
  "389ds": "entryusn",
  "active-directory": "uSNChanged",
};

/**
 * `ATTRIBUTE COUNTER=VALUE …`, one counter for each server that takes writes (OpenLDAP), for each database of the server
 * (389-ds), or a single one (Active Directory). Null where the server does not tell, or where a restored server would look
 * the same as before.
 */
export function changeMarkOf(kind: DirectoryKind, rootDse: RootDse, server: ServerIdentity): string | null {
  const attribute = changeAttributes[kind];
  const counters = attribute === undefined ? [] : countersOf(kind, rootDse, server);
  return counters.length === 0 ? null : [attribute, ...counters.toSorted()].join(" ");
}

const largest32Bit = 0xffff_ffffn; // 389-ds keeps the numbers of entries in 32 bits

function countersOf(kind: DirectoryKind, rootDse: RootDse, { identity, state }: ServerIdentity): string[] {
  if (kind === "389ds") {
    // 389-ds gives the first change the number -1, keeps it as 4294967295, and counts on from there after a restart, while what
    // changes is numbered from 0 again. Then nothing tells what comes after the mark.
    if (rootDse.lastUsns.some(({ usn }) => BigInt(usn) >= largest32Bit)) return [];
    return rootDse.lastUsns.map(({ database, usn }) => `${database}=${usn}`);
  }
  if (state === null) return [];
  // Without an invocation id a server that was restored looks like the one it was.
  if (kind === "active-directory") return identity.endsWith("|-") ? [] : [`=${state}`];
  const csns = state.matchAll(/\d{14}\.\d{6}Z#[0-9a-f]{6}#([0-9a-f]{3})#[0-9a-f]{6}/g);
  return [...csns].map(([csn, serverId]) => `${serverId}=${csn}`);
}

export type DeltaStart = { attribute: string; from: FilterPart; hasMoved: boolean } | { doubt: DeltaDoubt };

/** What has to be asked for since `previous`. Asks for too much rather than too little. */
export function deltaSince(previous: string, current: string | null): DeltaStart {
  if (current === null)
    return doubt("mark-gone", "the server does not tell any more how far its changes have got");
  const before = parseMark(previous);
  const now = parseMark(current);
  if (before.attribute !== now.attribute || before.counters.size === 0) {
    return doubt("mark-differs", "the server tells its changes otherwise than before");
  }
  let lowest: string | undefined;
  let highest: string | undefined;
  for (const [counter, value] of before.counters) {
    const reached = now.counters.get(counter);
    if (reached === undefined || isLess(reached, value)) {
      return doubt(
        "mark-went-back",
        "the server does not have changes any more that it had: it was restored, or lags",
      );
    }
    if (highest === undefined || isLess(highest, value)) highest = value;
    if (reached !== value && (lowest === undefined || isLess(value, lowest))) lowest = value;
  }
  for (const counter of now.counters.keys()) {
    if (!before.counters.has(counter)) {
      return doubt("mark-differs", "the server has changes from another server or database than before");
    }
  }
  const { attribute } = now;
  // Asked even where the counter has not moved: it costs little, and no change is missed where a counter is wrong.
  const value = Buffer.from(nextOf(lowest ?? highest ?? ""));
  return {
    attribute,
    from: { kind: "greater-or-equal", attribute, value },
    hasMoved: lowest !== undefined,
  };
}

/** The next value that a change can have: filters have no "greater" without "or equal". */
function nextOf(value: string): string {
  if (isNumber(value)) return String(BigInt(value) + 1n);
  // The last part of a change sequence number counts changes within one change; servers leave it 0.
  return value.replace(/[0-9a-f]{6}$/, (part) =>
    (Number.parseInt(part, 16) + 1).toString(16).padStart(6, "0"),
  );
}

function doubt(code: string, text: string): { doubt: DeltaDoubt } {
  return { doubt: { code, text } };
}

function parseMark(mark: string): { attribute: string; counters: Map<string, string> } {
  const [attribute = "", ...counters] = mark.split(" ");
  const pairs = counters.map((counter) => {
    const at = counter.indexOf("=");
    return [counter.slice(0, at), counter.slice(at + 1)] as const;
  });
  return { attribute, counters: new Map(pairs) };
}

// Change sequence numbers have one layout, time first, and compare as text.
function isLess(a: string, b: string): boolean {
  return isNumber(a) && isNumber(b) ? BigInt(a) < BigInt(b) : a < b;
}

// 389-ds says -1 before its first change.
function isNumber(text: string): boolean {
  return /^-?\d{1,20}$/.test(text);
}
