// Transaction ids: signed texts that say whose sign-in or enrollment goes on, for which caller and until when. They are kept
// nowhere, prove nothing but that dirmfa made them, and are never taken in place of a code. 48 characters: a RADIUS State
// carries more, the column of an old client 64.

import { createHmac, timingSafeEqual } from "node:crypto";

export interface TransactionOf {
  purpose: "sign-in" | "enrollment";
  userId: string;
  /** Another caller's transaction is none. */
  caller: string;
}

/** Long enough to open an app and scan a code; the enrollment itself may end sooner. */
export const transactionMs = 10 * 60_000;

const macBytes = 16; // 128 bits: nobody guesses one in ten minutes

/** `key` is the transaction key of a sealing key. */
export function transactionIdOf(key: Buffer, of: TransactionOf, now: Date): string {
  const head = headOf(of, Math.ceil((now.getTime() + transactionMs) / 1000));
  return Buffer.concat([head, macOf(key, head, of.caller)]).toString("base64url");
}

/** What a transaction id says, or undefined when it was not made with `key` for `caller`, or its time is over. */
export function openTransaction(
  key: Buffer,
  id: string,
  caller: string,
  now: Date,
): TransactionOf | undefined {
  if (!/^[A-Za-z0-9_-]{48}$/.test(id)) return undefined;
  const bytes = Buffer.from(id, "base64url");
  const head = bytes.subarray(0, -macBytes);
  if (!timingSafeEqual(bytes.subarray(-macBytes), macOf(key, head, caller))) return undefined;
  const word = head.readUInt32BE(16);
  if (timeOf(word) * 1000 <= now.getTime()) return undefined;
  return { purpose: word & 1 ? "enrollment" : "sign-in", userId: uuidOf(head.subarray(0, 16)), caller };
}

// The user's id, then the last second in units of two, whose lowest bit is the purpose. Good until the year 2106.
function headOf({ userId, purpose }: TransactionOf, until: number): Buffer {
  const head = Buffer.alloc(20);
  head.write(userId.replaceAll("-", ""), "hex");
  head.writeUInt32BE(((until & ~1) | (purpose === "enrollment" ? 1 : 0)) >>> 0, 16);
  return head;
}

function timeOf(word: number): number {
  return (word & ~1) >>> 0;
}

function uuidOf(bytes: Buffer): string {
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function macOf(key: Buffer, head: Buffer, caller: string): Buffer {
  return createHmac("sha256", key).update(head).update(caller, "utf8").digest().subarray(0, macBytes);
}
