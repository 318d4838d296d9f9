// What the operating system says of a file, folder or socket that cannot be used, in words. Pure.

import { AppError } from "../errors.ts";

// Node's names of what Linux answers (errno(3)), as people say it.
const reasons: Readonly<Record<string, string>> = {
  EACCES: "this user may not use it",
  EPERM: "this user may not use it",
  EROFS: "it is on a file system that is read-only",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota of this user is used up",
  ENOENT: "there is no such file or folder",
  ENOTDIR: "a part of the path is not a folder",
  EISDIR: "it is a folder",
  EEXIST: "it is there already",
  ELOOP: "its symbolic links lead in a circle",
  ENAMETOOLONG: "the path is too long",
  EMFILE: "this process has too many files open",
  ENFILE: "this machine has too many files open",
  EIO: "the disk cannot be read or written",
  EADDRINUSE: "another process listens there already",
  EADDRNOTAVAIL: "this machine does not have that address",
  EINVAL: "the operating system refuses it",
};

const remedies: Readonly<Record<string, string>> = {
  EACCES: "Run dirmfa as the user that it belongs to, or change its owner or mode.",
  EPERM: "Run dirmfa as the user that it belongs to, or change its owner or mode.",
  EROFS:
    "Name a folder that can be written, or run this where it can; under systemd, ReadWritePaths= opens one.",
  EADDRINUSE: "Stop the other process (is a dirmfa running already?), or choose another address.",
  EADDRNOTAVAIL: "Name an address of this machine in http.listen, or 0.0.0.0 for all of them.",
};

// What another try may find gone by itself: a full disk, too many files, a port of a process that is just ending.
const passing = new Set(["ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "EIO", "EADDRINUSE", "EADDRNOTAVAIL"]);

/**
 * Node's error of a system call on a file, or of listening, as an AppError: `file-failed` where another try may help, else
 * `file-unusable`. Undefined for any other error, as one of a connection.
 */
export function fileFailure(error: unknown): AppError | undefined {
  if (!(error instanceof Error) || !("syscall" in error) || error.syscall === "connect") return undefined;
  const code = "code" in error ? String(error.code) : "";
  const reason = reasons[code];
  if (reason === undefined) return undefined;
  const remedy = remedies[code];
  return new AppError(
    passing.has(code) ? "file-failed" : "file-unusable",
    `${whatOf(error)} cannot be used: ${reason}.`,
    {
      cause: error,
      ...(remedy === undefined ? {} : { remedy }),
    },
  );
}

function whatOf(error: Error): string {
  if ("path" in error && typeof error.path === "string") return error.path;
  if (!("address" in error) || typeof error.address !== "string") return "A file";
  const hasPort = "port" in error && typeof error.port === "number" && error.port >= 0;
  return hasPort ? `${error.address} port ${error.port}` : error.address;
}
