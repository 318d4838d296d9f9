// The sealing keys of a running process: which one seals new secrets, and any older one that still opens some. Another
// process may rotate the keys at any time, so a key that is not known here is looked for again before it counts as missing.

import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import { AppError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Database, Transaction } from "../store/database.ts";
import { inTransaction } from "../store/in-transaction.ts";
import { listKeyIds, readKeyFile } from "./key-folder.ts";
import { open, type SealContext, type SealingKey } from "./sealing.ts";
import {
  holdActiveKey,
  insertFirstKey,
  listSealingKeys,
  type StoredSealingKey,
} from "./sealing-keys-table.ts";

export interface SealingKeys {
  /** The key for new secrets. May have been replaced by a rotation: the statement that stores a secret says so. */
  active(): SealingKey;
  /** Reads again which key is active. */
  refresh(): Promise<void>;
  /** Any key of the folder by id; a file that was added since is found. Undefined when there is none. */
  find(id: string): Promise<SealingKey | undefined>;
}

export interface SealingKeysDeps {
  db: Database;
  /** `keys.folder` of the configuration. */
  folder: string;
  log: Log;
  /** Who chooses the first key of a new database; default: the daemon. */
  actor?: Actor;
}

const startActor: Actor = { name: "dirmfa", via: "daemon" };

/**
 * For a start: every key in use must be there and be the right one, else AppError `key-missing` or `key-wrong` (rule 20).
 * In a new database, the one key of the folder becomes the active one.
 */
export async function openSealingKeys(deps: SealingKeysDeps): Promise<SealingKeys> {
  const known = new Map<string, SealingKey>();
  let active = await readActiveKey(deps, known);
  return {
    active: () => active,
    refresh: async () => {
      active = await readActiveKey(deps, known);
    },
    find: async (id) => known.get(id) ?? remember(known, await readKeyFile(deps.folder, id, deps.log)),
  };
}

async function readActiveKey(deps: SealingKeysDeps, known: Map<string, SealingKey>): Promise<SealingKey> {
  let stored = await listSealingKeys(deps.db);
  if (stored.length === 0) {
    await chooseFirstKey(deps);
    stored = await listSealingKeys(deps.db);
  }
  let active: SealingKey | undefined;
  for (const inUse of stored.filter((key) => key.state !== "retired")) {
    const key = known.get(inUse.id) ?? remember(known, await readCheckedKey(deps, inUse));
    if (inUse.state === "active") active = key;
  }
  if (!active)
    throw new AppError("key-missing", "No sealing key is active.", { remedy: "Run `dirmfa key rotate`." });
  return active;
}

function remember<Key extends SealingKey | undefined>(known: Map<string, SealingKey>, key: Key): Key {
  if (key) known.set(key.id, key);
  return key;
}

/** The key file of a stored key. Throws `key-missing` or `key-wrong`. */
export async function readCheckedKey(deps: SealingKeysDeps, stored: StoredSealingKey): Promise<SealingKey> {
  const key = await readKeyFile(deps.folder, stored.id, deps.log);
  if (!key) {
    throw new AppError(
      "key-missing",
      `The sealing key ${stored.id} is in use, but ${deps.folder} has no file ${stored.id}.key.`,
      {
        remedy:
          "Restore the file from its backup. Without it, the secrets that it seals cannot be read by anyone.",
        fields: { keyId: stored.id, folder: deps.folder },
      },
    );
  }
  if (!key.checkValue.equals(stored.checkValue)) {
    throw new AppError(
      "key-wrong",
      `The file ${stored.id}.key in ${deps.folder} is not the key that this database uses under that name.`,
      {
        remedy:
          "Restore the right file from its backup, or point the configuration at the database that belongs to it.",
        fields: { keyId: stored.id, folder: deps.folder },
      },
    );
  }
  return key;
}

async function chooseFirstKey(deps: SealingKeysDeps): Promise<void> {
  const ids = await listKeyIds(deps.folder);
  const [id] = ids;
  if (id === undefined || ids.length > 1) {
    throw new AppError(
      "key-missing",
      ids.length === 0
        ? `There is no sealing key in ${deps.folder}.`
        : `There are several sealing keys in ${deps.folder}, and none was chosen for this new database: ${ids.join(", ")}.`,
      {
        remedy:
          ids.length === 0
            ? "Run `dirmfa key generate`, and keep a copy of the file apart from the database's backups."
            : `Choose one with \`dirmfa key rotate --to ${ids.at(-1)}\`, for example, or move the others out of the folder.`,
        fields: { folder: deps.folder },
      },
    );
  }
  const key = await readKeyFile(deps.folder, id, deps.log);
  if (!key) return; // removed at this moment; the caller finds no active key
  await deps.db.transaction(async (trx) => {
    if (!(await insertFirstKey(trx, key))) return;
    await recordAuditEvent(trx, {
      actor: deps.actor ?? startActor,
      action: "key-rotate",
      outcome: "done",
      details: { activeKey: key.id, firstKey: true },
    });
  });
}

export type Opened = { kind: "opened"; plain: Buffer } | { kind: "key-missing" } | { kind: "changed" };

/** Opens a stored value. `changed` also means that it was sealed for another user or purpose. */
export async function openSealed(
  keys: Pick<SealingKeys, "find">,
  context: SealContext,
  stored: { keyId: string; sealed: Uint8Array },
): Promise<Opened> {
  const key = await keys.find(stored.keyId);
  if (!key) return { kind: "key-missing" };
  const plain = open(key, context, stored.sealed);
  return plain ? { kind: "opened", plain } : { kind: "changed" };
}

/**
 * Runs `write` in a transaction during which `key` stays the active key, so that a secret sealed with it cannot slip past a
 * rotation. Where a rotation came first, its new key is read and used. As `inTransaction`, it may run `write` again.
 */
export async function withActiveKey<Answer>(
  deps: { db: Database; keys: SealingKeys },
  write: (trx: Transaction, key: SealingKey) => Promise<Answer>,
): Promise<Answer> {
  // One rotation is likely, a second within milliseconds is not.
  for (let tries = 3; tries > 0; tries--) {
    const key = deps.keys.active();
    const done = await inTransaction(deps.db, async (trx) =>
      (await holdActiveKey(trx, key.id)) ? { answer: await write(trx, key) } : undefined,
    );
    if (done) return done.answer;
    await deps.keys.refresh();
  }
  throw new Error("the active sealing key changes faster than it can be used");
}
