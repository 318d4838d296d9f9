// The folder of key files: `<key id>.key`, base64 of 32 random bytes. Reads and creates; never changes or removes a key.

import { constants } from "node:fs";
import { mkdir, open, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import type { Log } from "../log.ts";
import { type SealingKey, sealingKeyBytes, sealingKeyOf } from "./sealing.ts";

/** Also keeps a key id from being a path. */
const keyIdForm = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const extension = ".key";

export function isKeyId(id: string): boolean {
  return keyIdForm.test(id);
}

/** The key of that id, or undefined when there is no such file. Throws AppError `key-wrong` for a file that is no key. */
export async function readKeyFile(folder: string, id: string, log: Log): Promise<SealingKey | undefined> {
  if (!isKeyId(id)) return undefined;
  const path = join(folder, id + extension);
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  const secretPlain = Buffer.from(text.trim(), "base64");
  // Decoding skips what it does not know, so only the way back shows that the text was right.
  if (secretPlain.length !== sealingKeyBytes || secretPlain.toString("base64") !== text.trim()) {
    throw new AppError("key-wrong", `The key file ${path} is not the base64 of ${sealingKeyBytes} bytes.`, {
      remedy: "Restore the file from its backup; `dirmfa key generate` makes files of the right form.",
      fields: { keyId: id },
    });
  }
  // A warning only: secrets mounted by orchestrators are often readable by all inside their container.
  const mode = await modeOpenToOthers(path);
  if (mode !== undefined) log.warn({ path, mode }, "key file is open to other users of this machine");
  return sealingKeyOf(id, secretPlain);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw new AppError("key-missing", `The key file ${path} cannot be read.`, {
      remedy: "Give the user that dirmfa runs as the right to read it.",
      cause: error,
    });
  }
}

/**
 * The file's permissions, such as `640`, where its group or others may read or change it; otherwise undefined. Stricter than for
 * passwords (config/referenced-file.ts), which a group may read: a key opens the secrets of every user.
 */
export async function modeOpenToOthers(path: string): Promise<string | undefined> {
  const { mode } = await stat(path);
  const isOpen = (mode & (constants.S_IRWXG | constants.S_IRWXO)) !== 0;
  return isOpen ? (mode & 0o777).toString(8) : undefined;
}

/** Ids of all key files, sorted; none for a folder that is not there. */
export async function listKeyIds(folder: string): Promise<string[]> {
  try {
    const names = await readdir(folder);
    return names
      .filter((name) => name.endsWith(extension))
      .map((name) => name.slice(0, -extension.length))
      .filter(isKeyId)
      .sort();
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

/** Writes a new file that only this user can read, and returns its path. Throws where a file of that id exists. */
export async function createKeyFile(folder: string, id: string, secretPlain: Uint8Array): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, id + extension);
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    await file.writeFile(`${Buffer.from(secretPlain).toString("base64")}\n`);
    // Secrets sealed with a key that a power cut took away are lost.
    await file.sync();
  } finally {
    await file.close();
  }
  return path;
}

function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}
