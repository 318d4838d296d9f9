// What is remembered of each directory from run to run: which server the last complete listing came from, and whether
// the initial import is over.

import type { DirectoryKind } from "../config/config.ts";
import type { ListingReport, ServerIdentity } from "../directory/listing-page.ts";
import { isOlderCopy } from "../directory/server-state.ts";
import type { Database, Transaction } from "../store/database.ts";

export interface DirectoryMemory {
  /** Null until there was a complete listing that was applied. */
  kind: DirectoryKind | null;
  firstImportedAt: Date | null;
  serverIdentity: string | null;
  serverState: string | null;
  lastCompleteAt: Date | null;
  /**
   * How memberships were resolved from the stored users and groups. Null where the stored memberships may not follow from them, or
   * where some are still to be ended. Whatever changes users, groups or memberships in another way than a run from the same server
   * sets it to null, or marks the users as read on demand. While it is set, a run looks only at users for whom something has changed.
   */
  membershipsAs: MembershipsAs | null;
}

export type MembershipsAs = "nested" | "direct";

const nothingRemembered: DirectoryMemory = {
  kind: null,
  firstImportedAt: null,
  serverIdentity: null,
  serverState: null,
  lastCompleteAt: null,
  membershipsAs: null,
};

export async function getDirectoryMemory(db: Database | Transaction, name: string): Promise<DirectoryMemory> {
  const row = await db("directories")
    .first({
      kind: "kind",
      firstImportedAt: "first_imported_at",
      serverIdentity: "server_identity",
      serverState: "server_state",
      lastCompleteAt: "last_complete_at",
      membershipsAs: "memberships_as",
    })
    .where({ name });
  return row ?? nothingRemembered;
}

/**
 * How a listing's copy of the directory stands to the last one that was applied. `same`: its server, and no older, so that
 * absence means something (rule 4). `another`: absence proves nothing, since it may lag behind. `older`: known to be behind,
 * so that what it says of known users was true once; it may add users, and nothing else.
 */
export type Copy = "same" | "another" | "older";

export function copyOf(memory: DirectoryMemory, server: ServerIdentity): Copy {
  if (memory.serverIdentity === null) return "same";
  if (isOlderCopy(lastCopy(memory), server)) return "older";
  return memory.serverIdentity === server.identity ? "same" : "another";
}

function lastCopy({ serverIdentity, serverState }: DirectoryMemory) {
  return { identity: serverIdentity ?? "", state: serverState };
}

/**
 * Remembers the server of a complete listing, in the transaction that applies its plan. Not to be called with an `older`
 * copy: it stays that until it has caught up, however often it answers, and the age of the last listing goes on growing.
 * `imported` is false for a listing without a single usable entry: the initial import is then still to come.
 */
export async function rememberListing(
  trx: Transaction,
  name: string,
  {
    server,
    kind,
    imported,
    membershipsAs,
  }: Pick<ListingReport, "server" | "kind"> & { imported: boolean; membershipsAs: MembershipsAs | null },
): Promise<void> {
  const seen = {
    kind,
    server_identity: server.identity,
    server_state: server.state,
    last_complete_at: trx.fn.now(),
    older_since: null,
    memberships_as: membershipsAs,
  };
  await trx("directories")
    .insert({ name, first_imported_at: imported ? trx.fn.now() : null, ...seen })
    .onConflict("name")
    .merge({
      ...seen,
      first_imported_at: trx.raw("coalesce(directories.first_imported_at, excluded.first_imported_at)"),
    });
}

export interface SyncAge {
  directory: string;
  /** Since the last complete listing was applied that was not of an older copy. */
  seconds: number;
  /** Since listings are of an older copy; null when the last one was not. */
  olderCopySeconds: number | null;
  /** Entries of the last complete listing that could not be used, that of a held run included; null when no run is left to tell. */
  skipped: number | null;
}

/** How old the store's copy of each directory is, and what it lacks. */
export async function listSyncAges(db: Database): Promise<SyncAge[]> {
  const { rows } = await db.raw<{ rows: SyncAge[] }>(
    `select d.name as directory, extract(epoch from now() - d.last_complete_at)::float8 as seconds,
       extract(epoch from now() - d.older_since)::float8 as "olderCopySeconds", last.skipped
     from directories d
     left join lateral (
       select r.skipped from sync_runs r
       where r.directory = d.name and not r.dry_run and r.kind = 'full' and r.skipped is not null
       order by r.started_at desc limit 1
     ) last on true
     where d.last_complete_at is not null`,
  );
  return rows;
}

/**
 * Makes the next listing of every directory one from another server: the store was restored, and does not know how far the
 * directories had got.
 */
export async function forgetServers(trx: Transaction): Promise<void> {
  // No server has the empty identity.
  await trx("directories")
    .whereNotNull("server_identity")
    .update({ server_identity: "", server_state: null });
}

/**
 * An older copy was listed, and nothing but new users was taken from it. What groups listed then is not stored: the next listing
 * looks again at all memberships where `membershipsDiffer`.
 */
export async function rememberOlderCopy(
  trx: Transaction,
  name: string,
  { membershipsDiffer }: { membershipsDiffer: boolean },
): Promise<void> {
  await trx("directories").where({ name, older_since: null }).update({ older_since: trx.fn.now() });
  if (membershipsDiffer) await trx("directories").where({ name }).update({ memberships_as: null });
}

/** Takes a copy as the last one that was listed, however old it is. */
export async function acceptCopy(trx: Transaction, name: string, server: ServerIdentity): Promise<void> {
  await trx("directories")
    .where({ name })
    .update({ server_identity: server.identity, server_state: server.state, older_since: null });
}

/** Directories whose last listing was of an older copy, and since when all of them were. */
export async function listOlderCopies(db: Database): Promise<{ directory: string; since: Date }[]> {
  return db("directories")
    .select({ directory: "name", since: "older_since" })
    .whereNotNull("older_since")
    .orderBy("name");
}
