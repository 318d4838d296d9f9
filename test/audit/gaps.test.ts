// The ids that the audit chain has passed over, as a pure calculation.

import fc from "fast-check";
import { expect, test } from "vitest";
import { gapsBetween, withoutIds } from "../../src/audit/gaps.ts";

const anyIds = fc.uniqueArray(fc.bigInt(1n, 40n)).map((ids) => ids.toSorted((a, b) => Number(a - b)));
const idsOf = (gaps: { firstId: bigint; lastId: bigint }[]) =>
  gaps.flatMap(({ firstId, lastId }) =>
    Array.from({ length: Number(lastId - firstId) + 1 }, (_, at) => firstId + BigInt(at)),
  );

test("ids and the gaps between them are all ids, each once", () => {
  fc.assert(
    fc.property(anyIds, (ids) => {
      const all = [...ids, ...idsOf(gapsBetween(0n, ids))].toSorted((a, b) => Number(a - b));
      expect(all).toEqual(Array.from({ length: Number(ids.at(-1) ?? 0n) }, (_, at) => BigInt(at + 1)));
    }),
  );
});

test("what is left of a gap is the gap without the ids that were found", () => {
  fc.assert(
    fc.property(anyIds, fc.bigInt(1n, 40n), fc.bigInt(0n, 10n), (ids, firstId, length) => {
      const gap = { firstId, lastId: firstId + length };
      expect(idsOf(withoutIds(gap, ids))).toEqual(idsOf([gap]).filter((id) => !ids.includes(id)));
    }),
  );
});
