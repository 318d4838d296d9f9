// The one loop over the servers of a directory: which errors are of a server alone, so that the next one is tried.

import type { DirectoryConfig } from "../config/config.ts";
import { AppError, type ErrorCode } from "../errors.ts";
import type { Log } from "../log.ts";

/** What keeps one server from answering, and may not keep the next one. Never a refusal or a doubt about identity. */
const triesNextServer: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "directory-name-not-resolved",
  "directory-unreachable",
  "directory-connection-lost",
  "directory-timeout",
  "directory-busy",
]);

/** A directory as if it had this server alone. */
export type OneServer = DirectoryConfig & { urls: [string] };

interface FailedServer {
  url: string;
  error: AppError;
}

/**
 * Calls `use` with one server of the directory after the other, in their order, until one does not fail by itself. `use` starts
 * from the beginning each time: pages of two servers do not make one listing. Rejects with what `use` rejects with, or, when
 * several servers failed, with an AppError that names each.
 */
export async function fromFirstServer<Result>(
  directory: DirectoryConfig,
  use: (server: OneServer, isFirst: boolean) => Promise<Result>,
  log?: Log,
): Promise<Result> {
  const failed: FailedServer[] = [];
  for (const url of directory.urls) {
    try {
      return await use({ ...directory, urls: [url] }, failed.length === 0);
    } catch (error) {
      if (!isOfServer(error, url)) throw error;
      failed.push({ url, error });
      if (failed.length < directory.urls.length)
        log?.warn(
          { directory: directory.name, url, err: error },
          "directory server failed, the next one is tried",
        );
    }
  }
  throw noServerAnswers(failed);
}

function isOfServer(error: unknown, url: string): error is AppError {
  return error instanceof AppError && triesNextServer.has(error.code) && error.fields.url === url;
}

function noServerAnswers(failed: FailedServer[]): AppError {
  const [first] = failed;
  if (first === undefined) return new AppError("invalid-config", "the directory has no urls");
  if (failed.length === 1) return first.error;
  const each = failed.map(({ url, error }) => `${url}: ${error.message}`).join("; ");
  return new AppError(first.error.code, `no server of the directory answers: ${each}`, {
    ...(first.error.remedy === undefined ? {} : { remedy: first.error.remedy }),
    cause: first.error,
    fields: { servers: failed.length },
  });
}
