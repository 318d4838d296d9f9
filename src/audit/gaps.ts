// Ids that were passed over while sealing. An id is given out when an event is inserted and shows when its transaction
// commits, so a gap may be an event to come: it is watched until it is filled or surely rolled back. Pure.

export interface Gap {
  firstId: bigint;
  lastId: bigint;
}

/** Gaps between the ids of events, which are in order, from the one after `highest` on. */
export function gapsBetween(highest: bigint, ids: readonly bigint[]): Gap[] {
  const gaps: Gap[] = [];
  let next = highest + 1n;
  for (const id of ids) {
    if (id > next) gaps.push({ firstId: next, lastId: id - 1n });
    next = id + 1n;
  }
  return gaps;
}

/** What is left of a gap once the events with these ids were found in it. */
export function withoutIds(gap: Gap, ids: readonly bigint[]): Gap[] {
  const inside = ids
    .filter((id) => id >= gap.firstId && id <= gap.lastId)
    .toSorted((a, b) => (a < b ? -1 : 1));
  const left = gapsBetween(gap.firstId - 1n, inside);
  const last = inside.at(-1);
  const rest = last === undefined ? gap.firstId : last + 1n;
  return rest > gap.lastId ? left : [...left, { firstId: rest, lastId: gap.lastId }];
}
