// Ids of new users: in the order of time, so that a large import finds its places in the index one beside the other.

import { randomBytes } from "node:crypto";

const variant = "89ab"; // the first two bits are 1 and 0

/**
 * UUIDs of version 7 (RFC 9562, 5.7) that rise from row to row: milliseconds, the row (modulo 4,096) and 62 random bits. Made
 * many at a time, since one call for randomness each would take longer than all the rest of a page.
 */
export function newUserIds(now: Date, count: number): string[] {
  const time = now.getTime().toString(16).padStart(12, "0");
  const random = randomBytes(8 * count).toString("hex");
  return Array.from({ length: count }, (_, row) => {
    const tail = random.slice(16 * row, 16 * row + 16);
    const counter = (row % 4096).toString(16).padStart(3, "0");
    const fourth = variant[Number.parseInt(tail.charAt(0), 16) % 4] + tail.slice(1, 4);
    return `${time.slice(0, 8)}-${time.slice(8)}-7${counter}-${fourth}-${tail.slice(4)}`;
  });
}
