// The ids that new users get: well formed, rising, and never the same twice.

import { expect, test } from "vitest";
import { newUserIds } from "../../src/users/user-ids.ts";

const now = new Date("2026-11-24T08:00:00.123Z");

test("each is a UUID of version 7 that begins with the time", () => {
  for (const id of newUserIds(now, 1_000)) {
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(Number.parseInt(id.slice(0, 13).replace("-", ""), 16)).toBe(now.getTime());
  }
});

test("those of a page rise, and no two are equal, in other pages of the same moment neither", () => {
  const page = newUserIds(now, 4_096);
  expect(page.toSorted()).toEqual(page);
  expect(new Set([...page, ...newUserIds(now, 4_096)]).size).toBe(8_192);
  expect(newUserIds(now, 0)).toEqual([]);
});
