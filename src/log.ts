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

/** A log at `level`; `destination` defaults to standard output. */
export function createLog(level: LogLevel, destination?: DestinationStream): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretFieldNames.flatMap((name) => [name, `*.${name}`]), censor: "[redacted]" },
      serializers: { err: describeError },
    },
    destination ?? pino.destination({ sync: true }),
  );
}

/** What of an error may be logged: never its `detail`, `query` or other fields, which can hold stored values. */
export function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) };
  return {
    type: error.name,
    message: error.message,
    ...("code" in error ? { errorCode: error.code } : {}),
    ...(error instanceof AppError ? { ...error.fields } : { stack: error.stack }),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  };
}
