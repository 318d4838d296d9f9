// Cuts the byte stream of a socket into whole LDAP messages, never holding more than the largest message allowed plus
// one chunk. Does not look inside a message.

import { AppError } from "../../errors.ts";
import { protocolError } from "./connection-errors.ts";

const sequenceTag = 0x30;
// Tag, length of the length, and at most four bytes of length.
const longestHeader = 6;

export class MessageFraming {
  readonly #messageBytes: number;
  // Chunks are joined once, when a whole message is there, so that a large message costs no repeated copying.
  #chunks: Buffer[] = [];
  #available = 0;
  #current: Buffer = Buffer.alloc(0);
  #at = 0;
  #needed = 2;

  constructor(messageBytes: number) {
    this.#messageBytes = messageBytes;
  }

  /** Bytes received that belong to no message handed out yet. */
  get unreadBytes(): number {
    return this.#available;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#available += chunk.length;
  }

  /** The next whole message, as a view, or undefined until more bytes come. Throws when the stream is not LDAP. */
  next(): Buffer | undefined {
    if (this.#available < this.#needed) return undefined;
    this.#join();
    const total = this.#messageLength();
    if (total === undefined || total > this.#available) {
      this.#needed = total ?? Math.min(this.#available + 1, longestHeader);
      return undefined;
    }
    const message = this.#current.subarray(this.#at, this.#at + total);
    this.#at += total;
    this.#available -= total;
    this.#needed = 2; // the shortest header
    return message;
  }

  #join(): void {
    if (this.#chunks.length === 0) return;
    const rest = this.#current.subarray(this.#at);
    this.#current =
      rest.length === 0 && this.#chunks.length === 1
        ? (this.#chunks[0] ?? rest)
        : Buffer.concat([rest, ...this.#chunks]);
    this.#chunks = [];
    this.#at = 0;
  }

  // Header and contents together, or undefined while the header is not complete.
  #messageLength(): number | undefined {
    const buffer = this.#current;
    if (buffer[this.#at] !== sequenceTag) throw protocolError("a message does not begin with a sequence");
    const first = buffer[this.#at + 1];
    if (first === undefined) return undefined;
    if (first < 0x80) return 2 + first;
    const count = first & 0x7f;
    if (count === 0) throw protocolError("a message of indefinite length");
    if (count > 4) throw protocolError(`a message length of ${count} bytes`);
    if (this.#available < 2 + count) return undefined;
    const length = buffer.readUIntBE(this.#at + 2, count);
    if (length > this.#messageBytes) throw tooLarge(length, this.#messageBytes);
    return 2 + count + length;
  }
}

function tooLarge(length: number, allowed: number): AppError {
  return new AppError(
    "directory-message-too-large",
    `the server sends one message of ${length} bytes, ${allowed} are accepted`,
    {
      remedy:
        "If the directory has entries that large, such as a group with very many members, raise limits.messageBytes.",
      fields: { messageBytes: length, limit: allowed },
    },
  );
}
