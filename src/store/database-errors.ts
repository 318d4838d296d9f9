// Tells "the database cannot be reached or used right now" from every other failure. Pure; never shows a URL or
// password.

import { AppError } from "../errors.ts";

// Node's network errors, and the files that stand for a Unix socket.
const networkCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
  "ENOENT",
  "EACCES",
]);

// SQLSTATE classes (PostgreSQL, appendix A): 08 connection, 28 sign-in refused, 53 out of connections, memory or disk,
// 57P operator intervention (shutdown, crash, still starting, idle session closed), 58 system error (disk).
const unavailableStates = /^(?:08|28|53|57P|58)[0-9A-Z]+$/;

// 3D000: the database is gone. 25006: after a failover we still talk to a server that only reads.
const unavailableCodes = new Set(["3D000", "25006"]);

// What pg and knex say for a connection that died or never came; these errors carry no code. knex puts the
// statement before the message, hence the ends.
const codelessEndings = [
  "timeout expired",
  "Connection terminated",
  "Connection terminated unexpectedly",
  "Client has encountered a connection error and is not queryable",
  "Client was closed and is not queryable",
];

/** True when nothing is wrong with the statement and a later try may find the database again: answer 503, keep serving. */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof AppError) return error.code === "database-unavailable";
  if (error.name === "KnexTimeoutError") return true;
  const code = codeOf(error);
  if (code === undefined) return codelessEndings.some((ending) => error.message.endsWith(ending));
  return networkCodes.has(code) || unavailableCodes.has(code) || unavailableStates.test(code);
}

/** The AppError for a database that could not be opened; the cause is kept unless it could carry the URL. */
export function databaseUnavailable(error: unknown): AppError {
  const code = error instanceof Error ? codeOf(error) : undefined;
  if (code === "ERR_INVALID_URL") {
    return new AppError("database-unavailable", "The database URL cannot be read.", {
      remedy: "Check database.url; special characters in the password must be percent-encoded.",
    });
  }
  return new AppError("database-unavailable", `The database cannot be used: ${reasonOf(code)}.`, {
    remedy: remedyOf(code),
    cause: error,
    fields: { databaseErrorCode: code ?? null },
  });
}

/**
 * Any error of the database or of its driver as an AppError without a statement or a value in it; undefined for every
 * other error. For commands, which show it to an admin.
 */
export function databaseFailure(error: unknown): AppError | undefined {
  if (isDatabaseUnavailable(error)) return error instanceof AppError ? error : databaseUnavailable(error);
  const code = error instanceof Error ? codeOf(error) : undefined;
  // SQLSTATE has five characters; Node's own codes begin with E and are told by their words.
  if (code === undefined || !/^[0-9A-Z]{5}$/.test(code) || code.startsWith("E")) return undefined;
  const { reason, remedy } = refusalOf(code);
  return new AppError("database-refused", `The database refused what dirmfa asked: ${reason} (${code}).`, {
    remedy,
    cause: error,
    fields: { databaseErrorCode: code },
  });
}

function refusalOf(code: string): { reason: string; remedy: string } {
  if (code === "42501") {
    return {
      reason: "dirmfa's database role may not do this",
      remedy:
        "Give the role the grants of docs/operations.md. `dirmfa migrate` is for the role that owns the tables.",
    };
  }
  if (code === "42P01" || code === "42703" || code === "42883") {
    return {
      reason: "a table or column is missing",
      remedy: "The tables are not as `dirmfa migrate` made them; restore them from a backup of the database.",
    };
  }
  if (code.startsWith("40")) return { reason: "another transaction was in the way", remedy: "Run it again." };
  return {
    reason: "this is not one of the errors that dirmfa knows",
    remedy: "The database server's log has the statement; please report it to the maintainers.",
  };
}

function codeOf(error: Error): string | undefined {
  // Node gives the errors of all addresses of one name together.
  const first = error instanceof AggregateError ? error.errors[0] : error;
  return first instanceof Error && "code" in first && typeof first.code === "string" ? first.code : undefined;
}

function reasonOf(code: string | undefined): string {
  if (code === undefined) return "no answer";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "its host name cannot be resolved";
  if (code === "3D000") return "there is no database of that name";
  if (code.startsWith("28")) return "the user name or password was refused";
  if (code === "53300") return "it has no connection left";
  if (code === "57P03") return "it is starting up or shutting down";
  if (code === "25006") return "it is read-only";
  if (networkCodes.has(code)) return `no connection (${code})`;
  return `error ${code}`;
}

function remedyOf(code: string | undefined): string {
  if (code === "3D000") return "Create the database, or correct its name in database.url.";
  if (code?.startsWith("28")) return "Check user and password in database.url, and the server's pg_hba.conf.";
  if (code === "53300") return "Lower database.poolSize, or raise max_connections on the server.";
  return "Check that the server runs and that database.url names it.";
}
