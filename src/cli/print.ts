// People's output: aligned text, colour only on a terminal. Writes only what it is given.

import { styleText } from "node:util";
import type { CliContext } from "./context.ts";

type Style = Parameters<typeof styleText>[0];

/** `text` in a style when standard output is a terminal that wants colour, else as it is. */
export function paint(context: CliContext, style: Style, text: string): string {
  const { stdout, env } = context;
  const colour = stdout.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb";
  return colour ? styleText(style, text, { validateStream: false }) : text;
}

export function printLine(context: CliContext, text = ""): void {
  context.stdout.write(`${text}\n`);
}

export function printJson(context: CliContext, value: unknown): void {
  printLine(context, JSON.stringify(value, null, 2));
}

/** A header and rows in columns two spaces apart. Control characters of stored values are shown, not obeyed. */
export function printTable(context: CliContext, header: string[], rows: (string | number | null)[][]): void {
  const texts = rows.map((row) => row.map((cell) => visible(cell === null ? "-" : String(cell))));
  const widths = header.map((title, column) =>
    Math.max(displayWidth(title), ...texts.map((row) => displayWidth(row[column] ?? ""))),
  );
  const line = (cells: string[]) =>
    cells
      .map((cell, column) => padded(cell, widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  printLine(context, paint(context, "bold", line(header)));
  for (const row of texts) printLine(context, line(row));
}

/** Label and value pairs, a line each. */
export function printFacts(
  context: CliContext,
  facts: (readonly [label: string, value: string | null])[],
): void {
  const width = Math.max(...facts.map(([label]) => label.length));
  for (const [label, value] of facts) {
    printLine(context, `${paint(context, "dim", label.padEnd(width))}  ${visible(value ?? "-")}`);
  }
}

/** Escapes what a terminal would obey: directory values are not trusted. */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

function padded(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - displayWidth(text)));
}

// East Asian wide and full-width ranges take two columns, combining marks none: enough to keep names in line.
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u;
const zero = /\p{Mn}|\u200d/u;

function displayWidth(text: string): number {
  let width = 0;
  for (const char of text) width += zero.test(char) ? 0 : wide.test(char) ? 2 : 1;
  return width;
}
