// Sealing keys from making one to retiring it (rule 20). A rotation runs beside the service: every value is resealed by a
// conditional statement of its batch, so it may be killed anywhere and run again.

import { type Actor, recordAuditEvent } from "../audit/audit-events-table.ts";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { createKeyFile, isKeyId, listKeyIds, readKeyFile } from "./key-folder.ts";
import { listReplicasWithoutKey } from "./replicas-table.ts";
import { reportedWithinMs } from "./report-keys.ts";
import {
  listSealedRows,
  resealRows,
  type SealedRow,
  type SealedTable,
  sealedTables,
} from "./sealed-rows-table.ts";
import { nonceBytes, type SealingKey, seal, sealingKeyBytes } from "./sealing.ts";
import { openSealed, readCheckedKey, type SealingKeys, type SealingKeysDeps } from "./sealing-keys.ts";
import {
  activateKey,
  listSealingKeys,
  lockSealingKeys,
  retireUnusedKeys,
  type StoredSealingKey,
} from "./sealing-keys-table.ts";

interface Randomness {
  /** Cryptographically secure random bytes. */
  randomBytes(size: number): Buffer;
}

/** Writes a new key file and returns its id and path. Nothing uses it until a rotation, or a new database, does. */
export async function generateKey(
  deps: { folder: string; clock: Clock } & Randomness,
): Promise<{ id: string; path: string }> {
  const day = deps.clock.now().toISOString().slice(0, 10);
  // Enough to tell apart the keys of one day; a second file of the same name would be refused.
  const id = `${day}-${deps.randomBytes(3).toString("hex")}`;
  return { id, path: await createKeyFile(deps.folder, id, deps.randomBytes(sealingKeyBytes)) };
}

export interface RotateKeysInput {
  /** The new key. Undefined: finish a rotation that was begun, or take the one key of the folder that is not in use. */
  to: string | undefined;
  actor: Actor;
  /** Makes the key active though a running replica has no such key, and so refuses codes until it gets it. */
  despiteReplicas?: boolean;
  /** Stops between two batches; running again goes on from there. */
  signal?: AbortSignal;
  onProgress?(resealed: number): void;
}

export interface RotateKeysAnswer {
  activeKey: string;
  resealed: number;
  /** Keys that seal nothing any more. A backup of the database from before the rotation still needs their files. */
  retired: string[];
  /** Values that no key opens; they keep their old key, which therefore is not retired. */
  unreadable: { table: string; id: string }[];
}

/**
 * Makes a key active and reseals everything with it. Its file must be in the folder of every replica first. Throws
 * AppError `key-missing`, `key-wrong`, or `invalid-usage` when it is not clear which key is meant.
 */
export async function rotateKeys(
  deps: SealingKeysDeps & Randomness,
  input: RotateKeysInput,
): Promise<RotateKeysAnswer> {
  const key = await chooseKey(deps, input.to, await listSealingKeys(deps.db));
  if (!input.despiteReplicas) await requireKeyEverywhere(deps, key);
  const others = await activate(deps, key, input.actor);
  const find = await readKeys(deps, others);
  const answer: RotateKeysAnswer = { activeKey: key.id, resealed: 0, retired: [], unreadable: [] };
  for (const table of sealedTables) await resealTable(deps, input, { table, key, others, find, answer });
  answer.retired = await retire(deps, input.actor, answer);
  return answer;
}

async function chooseKey(
  deps: SealingKeysDeps,
  to: string | undefined,
  stored: StoredSealingKey[],
): Promise<SealingKey> {
  const id = to ?? (await impliedKeyId(deps, stored));
  const known = stored.find((key) => key.id === id);
  if (known?.state === "retired") {
    throw new AppError("invalid-usage", `The key ${id} is retired.`, {
      remedy: "Make a new one with `dirmfa key generate`.",
      fields: { keyId: id },
    });
  }
  if (known) return readCheckedKey(deps, known);
  const key = isKeyId(id) ? await readKeyFile(deps.folder, id, deps.log) : undefined;
  if (key) return key;
  throw new AppError("key-missing", `There is no key file ${id}.key in ${deps.folder}.`, {
    remedy: "Make a key with `dirmfa key generate`, and copy its file to every replica.",
    fields: { keyId: id, folder: deps.folder },
  });
}

async function impliedKeyId(deps: SealingKeysDeps, stored: StoredSealingKey[]): Promise<string> {
  const active = stored.find((key) => key.state === "active");
  if (active && stored.some((key) => key.state === "retiring")) return active.id;
  const known = new Set(stored.map((key) => key.id));
  const unused = (await listKeyIds(deps.folder)).filter((id) => !known.has(id));
  const [id] = unused;
  if (id !== undefined && unused.length === 1) return id;
  throw new AppError(
    "invalid-usage",
    unused.length === 0
      ? `There is no unused key in ${deps.folder}.`
      : `There are several unused keys in ${deps.folder}: ${unused.join(", ")}.`,
    { remedy: unused.length === 0 ? "Make one with `dirmfa key generate`." : "Name one with `--to`." },
  );
}

/** The keys that are rotated away. One that is missing leaves its values unreadable, and is named with them. */
async function readKeys(deps: SealingKeysDeps, ids: string[]): Promise<SealingKeys["find"]> {
  const keys = new Map<string, SealingKey>();
  for (const id of ids) {
    const key = await readKeyFile(deps.folder, id, deps.log);
    if (key) keys.set(id, key);
  }
  return async (id) => keys.get(id);
}

/** A replica without the key would refuse right codes as soon as one value is sealed with it. */
async function requireKeyEverywhere({ db }: SealingKeysDeps, key: SealingKey): Promise<void> {
  const checkValue = key.checkValue.toString("hex");
  const lacking = await listReplicasWithoutKey(db, {
    keyId: key.id,
    checkValue,
    seenWithinMs: reportedWithinMs,
  });
  if (lacking.length === 0) return;
  throw new AppError(
    "key-missing",
    `Running replicas do not have the key ${key.id}: ${lacking.join(", ")}.`,
    {
      remedy:
        "Copy its file into their key folders and try again in some seconds. One that has ended is forgotten within a minute; --despite-replicas does not wait.",
      fields: { keyId: key.id },
    },
  );
}

/** Returns the ids of all other keys that are not retired. */
async function activate(deps: SealingKeysDeps, key: SealingKey, actor: Actor): Promise<string[]> {
  return deps.db.transaction(async (trx) => {
    await lockSealingKeys(trx);
    const stored = await listSealingKeys(trx);
    const previous = stored.find(({ state }) => state === "active");
    if (previous?.id !== key.id) {
      await activateKey(trx, key);
      const details = { activeKey: key.id, previousKey: previous?.id ?? null };
      await recordAuditEvent(trx, { actor, action: "key-rotate", outcome: "begun", details });
    }
    return stored.filter(({ id, state }) => id !== key.id && state !== "retired").map(({ id }) => id);
  });
}

// One batch is one statement of some milliseconds; no verification waits longer for a row.
const batchSize = 200;

async function resealTable(
  deps: SealingKeysDeps & Randomness,
  input: RotateKeysInput,
  progress: {
    table: SealedTable;
    key: SealingKey;
    others: string[];
    find: SealingKeys["find"];
    answer: RotateKeysAnswer;
  },
): Promise<void> {
  const { table, key, others, find, answer } = progress;
  const unreadable: string[] = [];
  for (;;) {
    input.signal?.throwIfAborted();
    const rows = await listSealedRows(deps.db, table, {
      keyIds: others,
      except: unreadable,
      limit: batchSize,
    });
    if (rows.length === 0) break;
    const changed: { id: string; sealed: Buffer; resealed: Buffer }[] = [];
    for (const row of rows) {
      const resealed = await reseal(deps, find, { table, key, row });
      if (resealed) changed.push({ id: row.id, sealed: row.sealed, resealed });
      else unreadable.push(row.id);
    }
    // A row that changed in between is found again by the next round.
    answer.resealed += await resealRows(deps.db, table, key.id, changed);
    input.onProgress?.(answer.resealed);
  }
  answer.unreadable.push(...unreadable.map((id) => ({ table: table.name, id })));
}

async function reseal(
  deps: SealingKeysDeps & Randomness,
  find: SealingKeys["find"],
  value: { table: SealedTable; key: SealingKey; row: SealedRow },
): Promise<Buffer | undefined> {
  const { table, key, row } = value;
  const context = { purpose: table.purpose, owner: row.owner };
  const opened = await openSealed({ find }, context, row);
  if (opened.kind === "opened") return seal(key, context, opened.plain, deps.randomBytes(nonceBytes));
  deps.log.error(
    { table: table.name, id: row.id, keyId: row.keyId, reason: opened.kind },
    "sealed value cannot be opened",
  );
  return undefined;
}

async function retire(deps: SealingKeysDeps, actor: Actor, answer: RotateKeysAnswer): Promise<string[]> {
  return deps.db.transaction(async (trx) => {
    await lockSealingKeys(trx);
    const retired = await retireUnusedKeys(trx);
    await recordAuditEvent(trx, {
      actor,
      action: "key-rotate",
      outcome: answer.unreadable.length === 0 ? "done" : "incomplete",
      details: {
        activeKey: answer.activeKey,
        resealed: answer.resealed,
        retiredKeys: retired,
        unreadable: answer.unreadable.length,
      },
    });
    return retired;
  });
}
