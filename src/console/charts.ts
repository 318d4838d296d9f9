// Charts as SVG in the page: a line over days, bars one beside the other. What they show stands beside them in words or in a
// table, for whoever cannot see them. Pure.

import { type Html, html } from "../pages/html.ts";

// Left of the axis there is room for seven digits, and for four where a phone shows them larger.
const size = { width: 640, height: 180, left: 56, bottom: 22, top: 10 };

/** `points` in their order, evenly spaced, from 0 to `most`. */
export function lineChart(
  title: string,
  points: readonly { name: string; value: number }[],
  most: number,
): Html {
  const { width, height, left, bottom, top } = size;
  const full = Math.max(1, most);
  const x = (index: number) => left + (index * (width - left - 4)) / Math.max(1, points.length - 1);
  const y = (value: number) => top + (1 - value / full) * (height - top - bottom);
  const places = points.map(({ value }, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const ground = y(0).toFixed(1);
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">
<line class="axis" x1="${left}" y1="${ground}" x2="${width}" y2="${ground}"/><line class="axis" x1="${left}" y1="${y(full).toFixed(1)}" x2="${width}" y2="${y(full).toFixed(1)}"/>
<text x="${left - 6}" y="${y(full) + 4}" text-anchor="end">${most}</text><text x="${left - 6}" y="${y(0)}" text-anchor="end">0</text>
<polygon class="area" points="${left},${ground} ${places} ${x(points.length - 1).toFixed(1)},${ground}"/><polyline class="line" points="${places}"/>
<text x="${left}" y="${height - 5}">${points[0]?.name}</text><text x="${width}" y="${height - 5}" text-anchor="end">${points.at(-1)?.name}</text>
</svg>`;
}

export function barChart(
  title: string,
  bars: readonly { value: number; isBad: boolean }[],
  ends: [string, string],
): Html {
  const { width, height, left, bottom, top } = size;
  const most = Math.max(1, ...bars.map(({ value }) => value));
  const step = (width - left) / Math.max(1, bars.length);
  const drawn = bars.map(({ value, isBad }, index) => {
    const tall = Math.max(2, (value / most) * (height - top - bottom));
    const look = isBad ? "bar bad" : "bar";
    return html`<rect class="${look}" x="${(left + index * step).toFixed(1)}" y="${(height - bottom - tall).toFixed(1)}" width="${Math.max(1, step - 3).toFixed(1)}" height="${tall.toFixed(1)}" rx="1.5"/>`;
  });
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">
<line class="axis" x1="${left}" y1="${height - bottom}" x2="${width}" y2="${height - bottom}"/>
<text x="${left - 6}" y="${top + 8}" text-anchor="end">${most}</text>${drawn}
<text x="${left}" y="${height - 5}">${ends[0]}</text><text x="${width}" y="${height - 5}" text-anchor="end">${ends[1]}</text>
</svg>`;
}
