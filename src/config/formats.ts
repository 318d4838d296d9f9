// The formats of texts in the configuration: durations, addresses, URLs, cron. Pure: each parse gives
// a value or undefined, and the schema says in words what was wanted.

import { isIP } from "node:net";
import type { ListenAddress } from "./config.ts";

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `30s`, `15m`, `12h` or `7d` in milliseconds, or undefined. */
export function parseDuration(text: string): number | undefined {
  // 7 digits: the longest, 9,999,999 days, is still exact in a double.
  const [, count, unit] = /^(\d{1,7})([smhd])$/.exec(text) ?? [];
  if (unit !== "s" && unit !== "m" && unit !== "h" && unit !== "d") return undefined;
  return Number(count) * unitMs[unit];
}

/** How long audit events are kept: milliseconds, `forever`, or undefined for any other text. Shorter than a month is no audit. */
export function parseAuditRetention(text: string): number | "forever" | undefined {
  if (text === "forever") return text;
  const ms = parseDuration(text);
  return ms !== undefined && ms >= 30 * unitMs.d && ms <= 3650 * unitMs.d ? ms : undefined;
}

/** `host:port` with an IPv6 host in brackets, or `unix:PATH`; port 0 takes any free one. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  if (text.startsWith("unix:")) return text.length > 5 ? { kind: "unix", path: text.slice(5) } : undefined;
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65_535) return undefined;
  if (bracketed !== undefined && isIP(bracketed) !== 6) return undefined;
  return { kind: "tcp", host, port: Number(port) };
}

/** True for names and addresses that never leave this machine. */
export function isLoopback(host: string): boolean {
  return (
    host.toLowerCase() === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."))
  );
}

/** True for an IANA name such as `Europe/Vienna` that this Node.js knows. */
export function isTimeZone(text: string): boolean {
  if (text === "UTC") return true; // the default; the first time zone that Intl is asked for costs 0.04 s, a tenth of a command
  try {
    new Intl.DateTimeFormat("en", { timeZone: text });
    return true;
  } catch {
    return false; // Intl throws a RangeError for an unknown zone
  }
}

const monthNames = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const weekdayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const cronFields = [
  { from: 0, to: 59, names: [] },
  { from: 0, to: 59, names: [] },
  { from: 0, to: 23, names: [] },
  { from: 1, to: 31, names: [] },
  { from: 1, to: 12, names: monthNames },
  { from: 0, to: 7, names: weekdayNames }, // Sunday is 0 and 7
];

/**
 * True for a cron expression of 5 fields, or 6 with seconds first, that fires at least once. Lists, ranges, steps and
 * English names; not the extensions `L`, `W`, `#` and `@daily`.
 */
export function isCron(text: string): boolean {
  const words = text.trim().toLowerCase().split(/\s+/);
  if (words.length !== 5 && words.length !== 6) return false;
  const fields = cronFields
    .slice(6 - words.length)
    .map((field, index) => parseCronField(words[index] ?? "", field));
  const [days, months] = fields.slice(-3);
  if (days === undefined || months === undefined || fields.includes(undefined)) return false;
  return months.some((month) => Math.min(...days) <= longestMonth(month));
}

/** The numbers that a field stands for, or undefined when it is not one. */
function parseCronField(
  text: string,
  field: { from: number; to: number; names: string[] },
): number[] | undefined {
  const found: number[] = [];
  for (const item of text.split(",")) {
    const [, from, to, step = "1"] = /^(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:\/(\d{1,2}))?$/.exec(item) ?? [];
    if (from === undefined || (from === "*" && to !== undefined)) return undefined;
    // `5/10` means different things to different crons.
    if (from !== "*" && to === undefined && item.includes("/")) return undefined;
    const first = from === "*" ? field.from : cronNumber(from, field);
    const last = from === "*" ? field.to : to === undefined ? first : cronNumber(to, field);
    if (first === undefined || last === undefined || first > last || Number(step) < 1) return undefined;
    for (let number = first; number <= last; number += Number(step)) found.push(number);
  }
  return found;
}

function cronNumber(text: string, field: { from: number; to: number; names: string[] }): number | undefined {
  const named = field.names.indexOf(text);
  const number = named >= 0 ? named + field.from : /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  return number >= field.from && number <= field.to ? number : undefined;
}

function longestMonth(month: number): number {
  return month === 2 ? 29 : [4, 6, 9, 11].includes(month) ? 30 : 31;
}

/** An attribute's name or OID, with options such as `;binary` (RFC 4512, 2.5). */
export function isAttributeName(text: string): boolean {
  return /^([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)(;[A-Za-z0-9-]+)*$/.test(text);
}

/** True for a text that begins like a DN; whether it names something, the directory says. */
export function looksLikeDn(text: string): boolean {
  return /^\s*([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)\s*=/.test(text);
}
