// How a probe tells of failures and of what will hurt: as plain values, with what to do about it.

import { AppError, type ErrorCode } from "../../errors.ts";

export interface ProbeWarning {
  message: string;
  remedy: string;
}

export interface ProbeFailure {
  code: ErrorCode;
  message: string;
  remedy: string | undefined;
}

/** A directory's failure as a result; anything else is thrown on. */
export function failureOf(error: unknown): ProbeFailure {
  if (!(error instanceof AppError) || error.code === "aborted") throw error;
  return { code: error.code, message: error.message, remedy: error.remedy };
}
