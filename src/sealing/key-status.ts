// What `dirmfa key status` shows: every key that the database or the folder knows, and how much it seals. Reads only.

import { AppError } from "../errors.ts";
import { listKeyIds, readKeyFile } from "./key-folder.ts";
import { readCheckedKey, type SealingKeysDeps } from "./sealing-keys.ts";
import { countSealedByKey, listSealingKeys, type StoredSealingKey } from "./sealing-keys-table.ts";

export interface KeyStatus {
  id: string;
  /** `unused`: a file that this database has never used. */
  state: StoredSealingKey["state"] | "unused";
  file: "present" | "missing" | "wrong";
  /** Values that are sealed with it. */
  sealed: number;
  /** When the database began to use it. */
  createdAt: Date | null;
}

/** In the order in which the keys came into use, unused ones last. */
export async function keyStatus(deps: SealingKeysDeps): Promise<KeyStatus[]> {
  const [stored, counts, ids] = await Promise.all([
    listSealingKeys(deps.db),
    countSealedByKey(deps.db),
    listKeyIds(deps.folder),
  ]);
  const answer: KeyStatus[] = [];
  for (const { id, state, createdAt, ...rest } of stored) {
    const file = await fileState(() => readCheckedKey(deps, { id, state, createdAt, ...rest }));
    answer.push({ id, state, file, sealed: counts.get(id) ?? 0, createdAt });
  }
  for (const id of ids.filter((id) => !stored.some((key) => key.id === id))) {
    const file = await fileState(() => readKeyFile(deps.folder, id, deps.log));
    answer.push({ id, state: "unused", file, sealed: 0, createdAt: null });
  }
  return answer;
}

async function fileState(read: () => Promise<unknown>): Promise<KeyStatus["file"]> {
  try {
    return (await read()) ? "present" : "missing";
  } catch (error) {
    if (error instanceof AppError && error.code === "key-missing") return "missing";
    if (error instanceof AppError && error.code === "key-wrong") return "wrong";
    throw error;
  }
}
