// Logs that tests keep, and the secrets that must be in none of them (rules 22 and 29): what makes a token, a code, a secret or
// a password notes it here, and after each test file all logs of that file are searched for all of them (searched-logs.ts).

import { createLog, type Log } from "../../src/log.ts";

const secrets = new Set<string>();
const codes = new Set<string>();
const logs: { name: string; text: () => string }[] = [];

/** A log that keeps its lines, at the level that says the most. */
export function createKeptLog(): { log: Log; lines: string[] } {
  const lines = keptLines("log");
  return { log: createLog("trace", { write: (line: string) => lines.push(line) }), lines };
}

/** Where a test collects what a program says to its operator, at whatever level. */
export function keptLines(name: string): string[] {
  const lines: string[] = [];
  logs.push({ name, text: () => lines.join("") });
  return lines;
}

/** A password, a backup code, a cookie, or a secret as it is shown. Empty and short ones are in many texts by chance. */
export function noteSecret(...values: string[]): void {
  for (const value of values) if (value.length >= 8) secrets.add(value);
}

/** A caller's token, which some clients send as the password of Basic. */
export function noteToken(token: string): void {
  noteSecret(token, ...basicFormsOf(token));
}

/** What of a token is in Basic credentials, whatever the name before it: three bytes are four characters. */
export function basicFormsOf(token: string): string[] {
  return ["", "x", "xx"].map((before) => {
    const text = Buffer.from(before + token).toString("base64");
    return text.slice(before === "" ? 0 : 4, -4);
  });
}

/** The bytes of a secret, in all the forms in which they may be printed but that of an authenticator app. */
export function noteSecretBytes(bytes: Buffer): void {
  noteSecret(bytes.toString("hex"), bytes.toString("base64"), bytes.toString("base64url"));
}

/** Digits that an authenticator app shows, or that somebody types in their place. */
export function noteCode(code: string): void {
  codes.add(code);
}

/** What of all that was noted is in a log of this file, with the line: nothing may be. */
export function secretsInLogs(): string[] {
  return logs.flatMap(({ name, text }) => {
    const lines = text().split("\n");
    const found = secretsIn(lines.join("\n"), { secrets, codes });
    return found.map((value) => `${name}: ${value} in ${lines.find((line) => line.includes(value)) ?? "?"}`);
  });
}

/** For the next file in the same process: a code of one file may be a number in a log of another. */
export function forgetLogs(): void {
  secrets.clear();
  codes.clear();
  logs.length = 0;
}

/** Which of `secrets` and `codes` a log holds, written as they are, in JSON or in a URL. */
export function secretsIn(
  text: string,
  noted: { secrets: ReadonlySet<string>; codes: ReadonlySet<string> },
): string[] {
  const found = [...noted.secrets].filter((value) => formsOf(value).some((form) => text.includes(form)));
  // Codes as words of their own, and not as the decimals of a number or of a time.
  const words = new Set(text.replaceAll(/(\d)\.\d+/g, "$1").split(/[^0-9A-Za-z]+/));
  return [...found, ...[...noted.codes].filter((code) => words.has(code))];
}

function formsOf(value: string): string[] {
  return [value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value)];
}
