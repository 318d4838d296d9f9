// A Unix socket at a path: made beside and renamed, so that it never stands there with the wrong mode and so that a stale
// file of a killed process gives way in one step. Never takes the place of a socket that answers.

import { chmod, lstat, mkdtemp, rename, rmdir, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { AppError } from "../errors.ts";

/** Owner and group may connect: the login service joins the group. */
const socketMode = 0o660;

// sockaddr_un: 104 bytes on macOS, 108 on Linux, the closing zero included.
const longestSocketPath = 103;

export interface UnixSocket {
  /** Takes the file away, if it is still ours. */
  remove(): Promise<void>;
}

/** `bind` listens at the path that it is given. Throws AppError `invalid-config` when the place is taken. */
export async function bindUnixSocket(
  path: string,
  bind: (path: string) => Promise<unknown>,
): Promise<UnixSocket> {
  await requireUsablePlace(path);
  await inFolderBeside(path, async (fresh) => {
    await bind(fresh);
    await chmod(fresh, socketMode);
    await rename(fresh, path);
  });
  const { ino } = await lstat(path);
  return {
    async remove() {
      const now = await lstat(path).catch(() => undefined);
      if (now?.ino === ino) await unlink(path);
    },
  };
}

/** Throws what `bindUnixSocket` would throw; leaves nothing behind. */
export async function tryUnixSocket(path: string): Promise<void> {
  await requireUsablePlace(path);
  await inFolderBeside(path, async () => {});
}

/** A path beside `path` in a folder of mode 0700, so that nobody connects before the chmod. */
async function inFolderBeside(path: string, work: (fresh: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(dirname(path), "."));
  try {
    await work(join(folder, "s"));
  } finally {
    await rmdir(folder).catch(() => {}); // not empty when binding failed half-way; the error says more
  }
}

async function requireUsablePlace(path: string): Promise<void> {
  // It is made under another name first, which may be the longer one.
  const paths = [path, join(dirname(path), ".123456", "s")];
  if (paths.some((one) => Buffer.byteLength(one) > longestSocketPath)) {
    throw new AppError("invalid-config", `${path} is longer than the path of a socket can be.`, {
      remedy: `Choose a path of at most ${longestSocketPath} bytes, as unix:/run/dirmfa/dirmfa.sock.`,
    });
  }
  const there = await lstat(path).catch(() => undefined);
  if (!there) return;
  const refuse = (what: string, remedy: string) =>
    new AppError("invalid-config", `${path} ${what}.`, { remedy });
  if (!there.isSocket()) {
    throw refuse("exists and is not a socket", "Choose another path for http.listen, or move the file away.");
  }
  if (await answers(path)) {
    throw refuse(
      "is the socket of a running process",
      "Stop that process, or choose another path for http.listen.",
    );
  }
}

// Only a refusal proves that nobody listens; anything else (no permission, a full backlog) counts as somebody.
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED"));
  });
}
