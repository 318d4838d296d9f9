// A picture of curves over logarithmic axes, as the text of an SVG that is readable on a light and on a dark page. Pure.

export interface Curve {
  name: string;
  points: { x: number; y: number }[];
}

export interface LogChart {
  title: string;
  /** With its unit. */
  xLabel: string;
  yLabel: string;
  curves: Curve[];
}

// A panel in pixels, with room for the labels around the plot and for the names of the curves at its right.
const panel = { width: 820, height: 360, left: 70, right: 250, top: 46, bottom: 48 };
// Told apart by those who do not see red from green, on white and on black (Okabe and Ito, "Color Universal Design").
const colors = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999"];
// And without any color.
const dashes = ["", "7 4", "2 3", "10 3 2 3", "4 2", "1 4", "12 4"];

/** One panel below the other. A curve of points without a positive value has none of them. */
export function drawCharts(charts: readonly LogChart[]): string {
  const height = charts.length * panel.height;
  const panels = charts.map(
    (chart, index) => `<g transform="translate(0 ${index * panel.height})">\n${drawPanel(chart)}\n</g>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${panel.width} ${height}" role="img" font-family="sans-serif" font-size="13">`,
    `<title>${escaped(charts.map(({ title }) => title).join("; "))}</title>`,
    "<style>",
    ".page{fill:#fff}.text{fill:#222}.grid{stroke:#ccc}",
    "@media (prefers-color-scheme:dark){.page{fill:#111}.text{fill:#ddd}.grid{stroke:#444}}",
    "</style>",
    `<rect class="page" width="${panel.width}" height="${height}"/>`,
    ...panels,
    "</svg>\n",
  ].join("\n");
}

function drawPanel({ title, xLabel, yLabel, curves }: LogChart): string {
  const drawn = curves.map(({ name, points }) => ({
    name,
    points: points.filter(({ x, y }) => x > 0 && y > 0),
  }));
  const all = drawn.flatMap(({ points }) => points);
  if (all.length === 0) throw new Error(`nothing to draw: ${title}`);
  const right = panel.width - panel.right;
  const bottom = panel.height - panel.bottom;
  const x = logScale(
    all.map((point) => point.x),
    panel.left,
    right,
  );
  const y = logScale(
    all.map((point) => point.y),
    bottom,
    panel.top,
  );
  const middle = (panel.top + bottom) / 2;
  return [
    text(panel.left, 24, title, 'font-weight="bold"'),
    ...x.ticks.map((tick) => line(x.at(tick), panel.top, x.at(tick), bottom)),
    ...x.ticks.map((tick) => text(x.at(tick), bottom + 18, tickText(tick), 'text-anchor="middle"')),
    ...y.ticks.map((tick) => line(panel.left, y.at(tick), right, y.at(tick))),
    ...y.ticks.map((tick) => text(panel.left - 8, y.at(tick) + 4, tickText(tick), 'text-anchor="end"')),
    text((panel.left + right) / 2, bottom + 38, xLabel, 'text-anchor="middle"'),
    text(0, 0, yLabel, `text-anchor="middle" transform="translate(18 ${middle}) rotate(-90)"`),
    ...drawn.map(({ points }, index) =>
      drawCurve(
        points.map((point) => [x.at(point.x), y.at(point.y)]),
        index,
      ),
    ),
    ...drawNames(drawn, (points) => y.at(points.at(-1)?.y ?? Number.NaN), right),
  ].join("\n");
}

function drawCurve(points: number[][], index: number): string {
  const style = `stroke="${colors[index % colors.length]}" stroke-dasharray="${dashes[index % dashes.length]}"`;
  const marks = points.map(
    ([cx, cy]) =>
      `<circle cx="${round(cx)}" cy="${round(cy)}" r="3" fill="${colors[index % colors.length]}"/>`,
  );
  return [
    `<polyline fill="none" stroke-width="2" ${style} points="${points.map((point) => point.map(round).join(",")).join(" ")}"/>`,
    ...marks,
  ].join("\n");
}

// Beside the ends of the curves, with their last values, moved apart where two would lie on each other.
function drawNames(curves: Curve[], endOf: (points: Curve["points"]) => number, right: number): string[] {
  const lineHeight = 16;
  let lowest = Number.NEGATIVE_INFINITY;
  return curves
    .map(({ name, points }, index) => ({ name, index, points, at: endOf(points) }))
    .filter(({ points }) => points.length > 0)
    .sort((one, other) => one.at - other.at)
    .map(({ name, index, points, at }) => {
      lowest = Math.max(at, lowest + lineHeight);
      const color = `style="fill:${colors[index % colors.length]}"`;
      return text(right + 8, lowest + 4, `${name}: ${tickText(points.at(-1)?.y ?? 0)}`, color);
    });
}

/** Whole decades around the values, so that the axes begin and end with a tick. */
function logScale(
  values: number[],
  from: number,
  to: number,
): { at(value: number): number; ticks: number[] } {
  const first = Math.floor(Math.log10(Math.min(...values)));
  const last = Math.max(first + 1, Math.ceil(Math.log10(Math.max(...values))));
  return {
    at: (value) => from + ((Math.log10(value) - first) / (last - first)) * (to - from),
    ticks: Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index)),
  };
}

function tickText(value: number): string {
  return value >= 10 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(2)));
}

const round = (value = 0) => Math.round(value * 10) / 10;

const line = (x1: number, y1: number, x2: number, y2: number) =>
  `<line class="grid" x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}"/>`;

const text = (x: number, y: number, words: string, more = "") =>
  `<text class="text" x="${round(x)}" y="${round(y)}" ${more}>${escaped(words)}</text>`;

const escaped = (words: string) => words.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
