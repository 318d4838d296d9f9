// One error class for everything that was asked wrongly or that an operator must act on, with one union of codes.
// Expected answers (a wrong code, a held run) are returned values, never thrown. Knows nothing above it.

/** The ways in which a directory can fail, one code for each, so that an admin knows where to look. */
export type DirectoryErrorCode =
  | "directory-name-not-resolved"
  | "directory-unreachable"
  | "directory-connection-lost"
  | "directory-timeout"
  | "directory-tls-untrusted"
  | "directory-tls-expired"
  | "directory-tls-wrong-name"
  | "directory-tls-failed"
  | "directory-bind-refused"
  | "directory-password-expired"
  | "directory-base-missing"
  | "directory-filter-invalid"
  | "directory-size-limit"
  | "directory-time-limit"
  | "directory-admin-limit"
  | "directory-paging-refused"
  | "directory-busy"
  | "directory-access-denied"
  | "directory-referral"
  | "directory-protocol-error"
  | "directory-message-too-large"
  | "directory-changed-during-listing"
  | "directory-failed";

export type ErrorCode =
  | DirectoryErrorCode
  // asked wrongly
  | "invalid-usage"
  | "invalid-config"
  | "invalid-request"
  | "unauthorized"
  | "forbidden"
  | "rate-limited"
  | "not-found"
  | "user-unknown"
  | "username-ambiguous"
  | "directory-unknown"
  | "run-in-progress"
  | "run-not-held"
  // the operator must act
  | "database-unavailable"
  | "database-locked"
  | "wrong-user"
  | "database-refused"
  | "file-failed"
  | "file-unusable"
  | "schema-too-old"
  | "schema-too-new"
  | "lease-lost"
  | "run-incomplete-staging"
  | "key-missing"
  | "key-wrong"
  | "audit-head-unreadable"
  | "aborted";

export interface AppErrorOptions {
  /** One sentence that tells the reader what to do about it. */
  remedy?: string;
  cause?: unknown;
  /** Facts for logs and problem details. Never a secret, code, password or token (rule 22). */
  fields?: Readonly<Record<string, string | number | boolean | null>>;
}

/** `message` is one sentence for people; `code` is stable and for programs. */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;
  readonly remedy: string | undefined;
  readonly fields: Readonly<Record<string, string | number | boolean | null>>;

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy;
    this.fields = options.fields ?? {};
  }
}

/** The code of an AppError, or undefined for anything else that was thrown. */
export function errorCodeOf(error: unknown): ErrorCode | undefined {
  return error instanceof AppError ? error.code : undefined;
}
