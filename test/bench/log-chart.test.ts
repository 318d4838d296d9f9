// The picture of curves over logarithmic axes: what is drawn where, and that names cannot break the text of it.

import { expect, test } from "vitest";
import { drawCharts } from "../../scripts/bench/log-chart.ts";

const chart = (name: string, points: { x: number; y: number }[]) => ({
  title: "Runs <seconds>",
  xLabel: "users",
  yLabel: "s & ms",
  curves: [{ name, points }],
});

const positions = (svg: string) =>
  [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);

test("ten times as much is one step of the same length, on both axes", () => {
  const points = [1, 10, 100, 1000].map((x) => ({ x, y: 1000 / x }));
  const [first = [], second = [], third = [], last = []] = positions(drawCharts([chart("falls", points)]));
  const step = (from: number[], to: number[], axis: number) => (to[axis] ?? 0) - (from[axis] ?? 0);
  for (const axis of [0, 1]) {
    expect(step(second, third, axis)).toBeCloseTo(step(first, second, axis), 0);
    expect(step(third, last, axis)).toBeCloseTo(step(first, second, axis), 0);
  }
  // To the right, and downwards, where y grows in a picture.
  expect(step(first, last, 0)).toBeGreaterThan(100);
  expect(step(first, last, 1)).toBeGreaterThan(100);
});

test("names and titles are text, the last value stands beside the name, and what is not positive is left out", () => {
  const svg = drawCharts([
    chart('<b title="x">&', [
      { x: 10, y: 2 },
      { x: 100, y: 1234 },
      { x: 0, y: 5 },
    ]),
  ]);
  expect(svg).not.toMatch(/<b|& |<seconds>/);
  expect(svg).toContain('&lt;b title="x">&amp;: 1,234');
  expect(positions(svg)).toHaveLength(2);
  expect(() => drawCharts([chart("none", [{ x: 0, y: 0 }])])).toThrow("nothing to draw");
});
