// The operator's log: pino lines on standard output, constant phrases with facts in fields. May be lost; the audit may not.
// Only facts that are safe to print are passed in; the redaction here is the second net, not the first (rule 22).

import { type DestinationStream, type Logger, pino } from "pino";
import type { LogLevel } from "./config/config.ts";
import { AppError } from "./errors.ts";

export type Log = Logger;

// pino matches one level at a time and by exact case, so the names are listed for the top level and one below.
const secretFieldNames = [
  "password",
  "passwordSecret",
  "secret",
  "secretPlain",
  "token",
  "totp",
  "code",
  "codeAsTyped",
  "backupCode",
  "backupCodes",
  "enrollmentPass",
  "pass",
  "passAsTyped",
  "passPlain",
  "authorization",
  "Authorization",
  "cookie",
  "uri",
  "qrSvg",
  "qrPng",
];

/** What requests cause, and so a flood of them. Every other line comes as often as there are runs, starts and stops. */
export const phrasesOfRequests = [
  "code refused",
  "code refused during a lockout",
  "user locked out",
  "call refused: no valid token",
  "call refused: outside the caller's scopes",
  "call refused: beyond the rate",
  "change made",
  "request failed",
  "request could not be answered",
] as const;

const infoLevel = 30; // pino's number
const bounded: ReadonlySet<unknown> = new Set(phrasesOfRequests);

/** How many lines each of those phrases may have in a window; the rest is counted and told in one line at its end. */
export interface LineBound {
  lines: number;
  windowMs: number;
}

// Enough to see what is going on. At 300 bytes a line all nine phrases together write no more than 120 MB a day.
const usualBound: LineBound = { lines: 30, windowMs: 60_000 };

/** A log at `level`; `destination` defaults to standard output. */
export function createLog(
  level: LogLevel,
  destination?: DestinationStream,
  { bound = usualBound, withStacks = true }: { bound?: LineBound; withStacks?: boolean } = {},
): Log {
  const isLeftOut = createLineCounter(bound, (phrase, leftOut) =>
    log.info({ phrase, leftOut }, "lines left out"),
  );
  const log = pino(
    {
      level,
      hooks: {
        logMethod(args, write, levelValue) {
          if (levelValue >= infoLevel && isLeftOut(args.at(-1))) return;
          write.apply(this, args);
        },
      },
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretFieldNames.flatMap((name) => [name, `*.${name}`]), censor: "[redacted]" },
      serializers: { err: (error) => describeError(error, withStacks) },
    },
    destination ?? pino.destination({ sync: true }),
  );
  return log;
}

/** `tell` is called at the end of a window in which lines were left out. */
function createLineCounter(
  bound: LineBound,
  tell: (phrase: string, leftOut: number) => void,
): (phrase: unknown) => boolean {
  const written = new Map<string, number>();
  return (phrase) => {
    if (typeof phrase !== "string" || !bounded.has(phrase)) return false;
    const before = written.get(phrase);
    written.set(phrase, (before ?? 0) + 1);
    if (before === undefined) {
      const end = () => {
        const leftOut = (written.get(phrase) ?? 0) - bound.lines;
        written.delete(phrase);
        if (leftOut > 0) tell(phrase, leftOut);
      };
      // A process that has nothing else to do does not wait for it.
      setTimeout(end, bound.windowMs).unref();
    }
    return (before ?? 0) >= bound.lines;
  };
}

/** What of an error may be logged: never its `detail`, `query` or other fields, which can hold stored values. */
export function describeError(error: unknown, withStack = true): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) };
  const message = withoutStatement(error);
  return {
    type: error.name,
    message,
    ...("code" in error ? { errorCode: error.code } : {}),
    ...(error instanceof AppError ? error.fields : {}),
    ...(withStack && !(error instanceof AppError)
      ? { stack: error.stack?.replace(error.message, message) }
      : {}),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause, withStack) }),
  };
}

/** knex writes the whole statement before what the database says; the stack tells where it was sent from. */
function withoutStatement(error: Error): string {
  return "severity" in error ? (error.message.split(" - ").at(-1) ?? "") : error.message;
}
