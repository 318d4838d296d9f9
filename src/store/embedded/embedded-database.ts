// The embedded database of a folder: who owns it, the thread it lives in, and the socket on which it is reached, by the
// owner as by everyone else. Speaks no SQL.
//
//   FOLDER/pgdata      the data; appears when it is whole
//   FOLDER/lock        see folder-lock.ts
//   FOLDER/owner.json  process id of the owner and the folder of its socket
//   FOLDER/socket/     the socket, unless that path would be too long for one

import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { AppError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { EmbeddedWorkerStart } from "./embedded-worker.ts";
import { type FolderLock, lockFolder } from "./folder-lock.ts";

export interface EmbeddedDatabase {
  /** What pg calls host: the folder of the socket. The port is `embeddedPort`. */
  socketFolder: string;
  close(): Promise<void>;
}

/** Part of the socket's name by Postgres' convention; nothing listens on a port. */
export const embeddedPort = 5432;

const limits = {
  // Another process may be creating the database, which takes seconds.
  ownerAnswersMs: 30_000,
  // Between taking the lock and naming itself an owner does next to nothing.
  ownerNamedMs: 2_000,
  retryMs: 100,
  // A crash that repeats at once must not take the processor.
  restartMs: 2_000,
  // sockaddr_un: 104 bytes on macOS, 108 on Linux, the closing zero included.
  socketPathBytes: 103,
};

/** False for a folder in which no database was made yet. */
export function isEmbeddedDatabaseThere(folder: string): boolean {
  return existsSync(join(folder, "pgdata"));
}

/**
 * Owns the folder, creating what is missing, or reaches the process that does. With `owner: true` only the former will
 * do: throws AppError `database-locked`. Throws `database-unavailable` when the folder cannot be used or its owner does
 * not answer.
 */
export async function openEmbeddedDatabase(
  folder: string,
  options: { owner: boolean; log: Log },
): Promise<EmbeddedDatabase> {
  const begun = Date.now();
  const running = options.owner ? undefined : await readOwner(folder);
  // Whoever asks through a running daemon makes no files.
  if (!running || !(await answers(running.socketFolder))) await requireSameUser(folder, process.getuid?.());
  const path = await makeFolder(folder);
  for (;;) {
    const lock = tryLock(path);
    if (lock) return await own(path, lock, options.log);
    const owner = await readOwner(path);
    if (options.owner && (owner || Date.now() - begun > limits.ownerNamedMs)) throw lockedBy(path, owner);
    if (owner && (await answers(owner.socketFolder))) {
      return { socketFolder: owner.socketFolder, close: async () => {} };
    }
    if (Date.now() - begun > limits.ownerAnswersMs) throw silent(path, owner);
    await sleep(limits.retryMs);
  }
}

/**
 * Root could open a folder of another user's, and would leave files in it that this user cannot open: the daemon would not start
 * any more. Throws AppError `wrong-user`. `userId` is undefined where users have no numbers.
 */
export async function requireSameUser(folder: string, userId: number | undefined): Promise<void> {
  if (userId !== 0) return;
  const owner = await ownerOf(folder);
  if (owner === 0) return;
  throw new AppError(
    "wrong-user",
    `The folder ${folder} belongs to the user with the number ${owner}, and this is root.`,
    {
      remedy: `Run it as that user: sudo -u '#${owner}' dirmfa …`,
      fields: { folder },
    },
  );
}

/** Who owns the folder, or the nearest one above it that is there. */
async function ownerOf(folder: string): Promise<number> {
  try {
    return (await stat(folder)).uid;
  } catch (error) {
    const parent = dirname(folder);
    if (parent !== folder && isMissing(error)) return ownerOf(parent);
    throw unusable(folder, error);
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

async function makeFolder(folder: string): Promise<string> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return await realpath(folder);
  } catch (error) {
    throw unusable(folder, error);
  }
}

function tryLock(folder: string): FolderLock | undefined {
  try {
    return lockFolder(folder);
  } catch (error) {
    throw unusable(folder, error);
  }
}

async function own(folder: string, lock: FolderLock, log: Log): Promise<EmbeddedDatabase> {
  const ownerFile = join(folder, "owner.json");
  try {
    const socketFolder = await makeSocketFolder(folder);
    await writeOwner(ownerFile, { pid: process.pid, socketFolder });
    const stop = await keepThread({ folder, socketPath: socketPathIn(socketFolder) }, log);
    const close = async () => {
      await stop();
      await rm(ownerFile, { force: true });
      await rm(socketFolder, { recursive: true, force: true });
      lock.release();
    };
    return { socketFolder, close };
  } catch (error) {
    lock.release();
    throw new AppError("database-unavailable", `The embedded database in ${folder} cannot be opened.`, {
      remedy: "Check that the disk is not full and that the files belong to dirmfa's user.",
      cause: error,
    });
  }
}

function socketPathIn(folder: string): string {
  return join(folder, `.s.PGSQL.${embeddedPort}`);
}

const shortFolderPrefix = "dirmfa-socket-";

async function makeSocketFolder(folder: string): Promise<string> {
  const left = (await readOwner(folder))?.socketFolder;
  if (left !== undefined && dirname(left) === tmpdir() && basename(left).startsWith(shortFolderPrefix)) {
    await rm(left, { recursive: true, force: true });
  }
  const usual = join(folder, "socket");
  if (Buffer.byteLength(socketPathIn(usual)) > limits.socketPathBytes) {
    return await mkdtemp(join(tmpdir(), shortFolderPrefix));
  }
  await rm(usual, { recursive: true, force: true });
  await mkdir(usual, { mode: 0o700 });
  return usual;
}

/** Starts the thread and keeps it running. Returns how to stop it. */
async function keepThread(start: EmbeddedWorkerStart, log: Log): Promise<() => Promise<void>> {
  const stopping = new AbortController();
  const first = await startThread(start);
  const stopped = superviseThread(first, start, stopping.signal, log);
  return () => {
    stopping.abort();
    return stopped;
  };
}

// A full disk ends the engine, for example. What is on disk is then as after a kill.
async function superviseThread(
  first: Worker,
  start: EmbeddedWorkerStart,
  stopping: AbortSignal,
  log: Log,
): Promise<void> {
  let thread: Worker | undefined = first;
  for (;;) {
    if (thread) await untilEnded(thread, stopping, log);
    if (stopping.aborted) return;
    log.error("embedded database ended by itself and is started again");
    await sleep(limits.restartMs, undefined, { signal: stopping }).catch(() => {});
    if (stopping.aborted) return;
    thread = await startThread(start).catch((error: unknown) => {
      log.error({ err: error }, "embedded database cannot be started");
      return undefined;
    });
  }
}

async function untilEnded(thread: Worker, stopping: AbortSignal, log: Log): Promise<void> {
  const stop = () => thread.postMessage("stop");
  const ended = new Promise((resolve) => thread.once("exit", resolve));
  thread.on("message", (message) =>
    log.error({ engineMessage: String(message) }, "embedded database lost its session"),
  );
  thread.on("error", (error) => log.error({ err: error }, "embedded database failed"));
  if (stopping.aborted) stop();
  stopping.addEventListener("abort", stop, { once: true });
  await ended;
  stopping.removeEventListener("abort", stop);
}

/** A thread that listens. Its data, when it is the first, takes seconds to create. */
async function startThread(start: EmbeddedWorkerStart): Promise<Worker> {
  // The compiler rewrites the endings of imports alone.
  const file = import.meta.url.endsWith(".ts") ? "./embedded-worker.ts" : "./embedded-worker.js";
  const thread = new Worker(new URL(file, import.meta.url), { workerData: start, execArgv: [] });
  await new Promise<void>((resolve, reject) => {
    thread.once("message", () => resolve());
    thread.once("error", reject);
    thread.once("exit", (code) => reject(new Error(`embedded database ended with ${code} while it started`)));
  });
  thread.removeAllListeners();
  return thread;
}

interface Owner {
  pid: number;
  socketFolder: string;
}

async function writeOwner(file: string, owner: Owner): Promise<void> {
  // Renamed, so that nobody reads half of it.
  await writeFile(`${file}.new`, JSON.stringify(owner), { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** What the last owner wrote; it may be gone. Undefined when there is none, or nothing that can be read. */
async function readOwner(folder: string): Promise<Owner | undefined> {
  try {
    const owner: unknown = JSON.parse(await readFile(join(folder, "owner.json"), "utf8"));
    return isOwner(owner) ? owner : undefined;
  } catch {
    return undefined;
  }
}

function isOwner(value: unknown): value is Owner {
  if (typeof value !== "object" || value === null) return false;
  return (
    "pid" in value &&
    typeof value.pid === "number" &&
    "socketFolder" in value &&
    typeof value.socketFolder === "string"
  );
}

async function answers(socketFolder: string): Promise<boolean> {
  const socket = connect(socketPathIn(socketFolder));
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

function unusable(folder: string, error: unknown): AppError {
  return new AppError(
    "database-unavailable",
    `The folder ${folder} of the embedded database cannot be used.`,
    {
      remedy: "Check database.embedded and that dirmfa may write there.",
      cause: error,
    },
  );
}

function lockedBy(folder: string, owner: Owner | undefined): AppError {
  const who = owner === undefined ? "another process" : `process ${owner.pid}`;
  return new AppError("database-locked", `The embedded database in ${folder} is in use by ${who}.`, {
    remedy: "Stop that process first; several daemons need a PostgreSQL server (database.url).",
    fields: { pid: owner?.pid ?? null },
  });
}

function silent(folder: string, owner: Owner | undefined): AppError {
  const who = owner === undefined ? "Another process" : `Process ${owner.pid}`;
  return new AppError(
    "database-unavailable",
    `${who} owns the embedded database in ${folder} but does not answer.`,
    {
      remedy: "Look at that process's log, or stop it.",
      fields: { pid: owner?.pid ?? null },
    },
  );
}
