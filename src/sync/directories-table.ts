// What is remembered of each directory from run to run: which server the last complete listing came from, and whether
// the initial import is over.

import type { ServerIdentity } from "../directory/listing-page.ts";
import { isOlderCopy } from "../directory/server-state.ts";
import type { Database, Transaction } from "../store/database.ts";

export interface DirectoryMemory {
  firstImportedAt: Date | null;
  serverIdentity: string | null;
  serverState: string | null;
  lastCompleteAt: Date | null;
}

const nothingRemembered: DirectoryMemory = {
  firstImportedAt: null,
  serverIdentity: null,
  serverState: null,
  lastCompleteAt: null,
};

export async function getDirectoryMemory(db: Database, name: string): Promise<DirectoryMemory> {
  const row = await db("directories")
    .first({
      firstImportedAt: "first_imported_at",
      serverIdentity: "server_identity",
      serverState: "server_state",
      lastCompleteAt: "last_complete_at",
    })
    .where({ name });
  return row ?? nothingRemembered;
}

/**
 * True when absence from a listing of `server` means something: it is the server of the last listing, and its copy is no
 * older than it was then (rule 4). Absence in any other copy proves nothing, since that may lag behind.
 */
export function isSameServer(memory: DirectoryMemory, server: ServerIdentity): boolean {
  if (memory.serverIdentity === null) return true;
  return memory.serverIdentity === server.identity && !isOlderCopy(lastCopy(memory), server);
}

function lastCopy({ serverIdentity, serverState }: DirectoryMemory) {
  return { identity: serverIdentity ?? "", state: serverState };
}

/**
 * Remembers the server of a complete listing, in the transaction that applies its plan. One whose copy is older than the
 * one remembered stays another server until it has caught up, however often it answers.
 */
export async function rememberListing(
  trx: Transaction,
  name: string,
  { memory, server }: { memory: DirectoryMemory; server: ServerIdentity },
): Promise<void> {
  const copy = isOlderCopy(lastCopy(memory), server) ? lastCopy(memory) : server;
  const seen = {
    server_identity: copy.identity,
    server_state: copy.state,
    last_complete_at: trx.fn.now(),
  };
  await trx("directories")
    .insert({ name, first_imported_at: trx.fn.now(), ...seen })
    .onConflict("name")
    .merge({
      ...seen,
      first_imported_at: trx.raw("coalesce(directories.first_imported_at, excluded.first_imported_at)"),
    });
}

/** Seconds since the last complete listing of each directory was applied. */
export async function listSyncAges(db: Database): Promise<{ directory: string; seconds: number }[]> {
  return db("directories")
    .select({
      directory: "name",
      seconds: db.raw("extract(epoch from now() - last_complete_at)::float8"),
    })
    .whereNotNull("last_complete_at");
}
