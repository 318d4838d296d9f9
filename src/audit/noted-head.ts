// The end of the chain as this replica saw it last, in a file outside the database: a chain whose end was cut off is a
// valid one, and only somebody who remembers can tell. Holds nothing secret.

import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { type ChainPoint, chainStart } from "./chain.ts";

/** A place in the chain as people note it. */
export interface NotedHead {
  /** A bigint as text. */
  position: string;
  /** Lower-case hex. */
  mac: string;
}

export interface KeptHead extends NotedHead {
  /** When it was written. */
  notedAt: Date;
}

const fileName = "audit-head.json";

export function headFileOf(folder: string): string {
  return join(folder, fileName);
}

export function notedHeadOf({ position, chainMac }: ChainPoint): NotedHead {
  return { position, mac: chainMac.toString("hex") };
}

export function chainPointOf({ position, mac }: NotedHead): ChainPoint {
  return position === "0" ? chainStart : { position, chainMac: Buffer.from(mac, "hex") };
}

/** Undefined where none was noted yet. Throws AppError `audit-head-unreadable` for a file that is no head. */
export async function readKeptHead(folder: string): Promise<KeptHead | undefined> {
  const path = headFileOf(folder);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (hasCode(cause, "ENOENT", "ENOTDIR")) return undefined;
    throw unreadable(path, cause);
  }
  const kept = keptHeadOf(text);
  if (kept) return kept;
  throw unreadable(path);
}

function keptHeadOf(text: string): KeptHead | undefined {
  const [, position, mac, notedAt] =
    /^\{"position":"(\d{1,18})","mac":"([0-9a-f]{64})","notedAt":"([0-9TZ:.-]{24})"\}\n$/.exec(text) ?? [];
  if (position === undefined || mac === undefined || notedAt === undefined) return undefined;
  return { position, mac, notedAt: new Date(notedAt) };
}

function unreadable(path: string, cause?: unknown): AppError {
  return new AppError("audit-head-unreadable", `The end of the audit chain cannot be read from ${path}.`, {
    remedy:
      "Look at the file and at who wrote it last; when it is removed, the chain as it stands is taken as true.",
    cause,
    fields: { path },
  });
}

/** Replaces the file at once: whoever reads, now or after a power cut, finds the old head or this one. */
export async function writeKeptHead(folder: string, { position, mac, notedAt }: KeptHead): Promise<void> {
  const path = headFileOf(folder);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const beside = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    const file = await open(beside, "wx", 0o600);
    try {
      await file.writeFile(`${JSON.stringify({ position, mac, notedAt: notedAt.toISOString() })}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}
