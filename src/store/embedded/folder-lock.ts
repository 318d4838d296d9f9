// At most one process at a time owns a folder. The lock is the kernel's, held through an exclusive SQLite transaction on
// an empty file, since Node has no file locks: it ends with the process, however that ends, so there is no
// stale lock to judge by process ids, which mean nothing across containers that share a volume.

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

export interface FolderLock {
  /** May be called twice. */
  release(): void;
}

const sqliteBusy = 5; // SQLITE_BUSY

/** The lock, or undefined while another process, or this one, has it. Never waits. */
export function lockFolder(folder: string): FolderLock | undefined {
  const file = new DatabaseSync(join(folder, "lock"), { timeout: 0 });
  try {
    // Nothing is ever written, so no journal file is wanted beside it.
    file.exec("pragma journal_mode = memory");
    file.exec("begin exclusive");
    return { release: () => file.isOpen && file.close() };
  } catch (error) {
    file.close();
    if (error instanceof Error && "errcode" in error && error.errcode === sqliteBusy) return undefined;
    throw error;
  }
}
