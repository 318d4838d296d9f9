// What was noted last is remembered, and no more than twice as much as that.

import { expect, test } from "vitest";
import { createRecent } from "../src/recent.ts";

test("as many keys as were asked for are remembered, those noted last, and twice as many at most", () => {
  const recent = createRecent<number>(100);
  for (let key = 0; key < 1_000; key += 1) {
    recent.note(`k${key}`, key);
    const known = Array.from({ length: key + 1 }, (_, one) => recent.get(`k${one}`)).filter(
      (value) => value !== undefined,
    );
    const last = Array.from({ length: Math.min(100, key + 1) }, (_, back) => key - back).reverse();
    expect(known.slice(-last.length)).toEqual(last);
    expect(known.length).toBeLessThanOrEqual(200);
  }
});

test("a key that is noted again has its new value, and stays as the others go", () => {
  const recent = createRecent<string>(2);
  recent.note("a", "first");
  for (const key of ["b", "c", "d", "e"]) {
    recent.note("a", `beside ${key}`);
    recent.note(key, key);
    expect(recent.get("a")).toBe(`beside ${key}`);
  }
});

test("a key that is forgotten is gone, however long ago it was noted", () => {
  const recent = createRecent<number>(2);
  for (const [value, key] of ["a", "b", "c"].entries()) recent.note(key, value);
  recent.forget("a");
  recent.forget("c");
  expect(["a", "b", "c"].map((key) => recent.get(key))).toEqual([undefined, 1, undefined]);
});
