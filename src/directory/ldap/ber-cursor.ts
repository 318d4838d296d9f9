// Reads BER out of one complete LDAP message: definite lengths of at most four bytes, and nothing beyond the element
// that contains it. Whatever does not fit is a protocol error, so a loop over elements always moves on or ends.
// ldapts' BerReader returns null without moving when an inner value is cut off, which loops for ever in its callers.

import { protocolError } from "./connection-errors.ts";

export const ber = {
  boolean: 0x01,
  integer: 0x02,
  octetString: 0x04,
  enumerated: 0x0a,
  sequence: 0x30,
  set: 0x31,
} as const;

/** A position in a buffer and the end of the element being read. Moving `at` and `end` about is the reader's business. */
export class BerCursor {
  readonly buffer: Buffer;
  at: number;
  end: number;

  constructor(buffer: Buffer, at = 0, end = buffer.length) {
    this.buffer = buffer;
    this.at = at;
    this.end = end;
  }

  get atEnd(): boolean {
    return this.at >= this.end;
  }

  /** The tag of the next element, or -1 at the end. */
  peekTag(): number {
    return this.at < this.end ? (this.buffer[this.at] ?? -1) : -1;
  }

  /** Steps over the header of the next element, which must have this tag, and returns where its contents end. */
  open(tag: number): number {
    const found = this.peekTag();
    if (found !== tag) {
      const seen = found === -1 ? "the end" : `tag 0x${found.toString(16)}`;
      throw protocolError(`tag 0x${tag.toString(16)} expected, ${seen} found`);
    }
    this.at += 1;
    const length = this.#length();
    if (length > this.end - this.at) throw protocolError("a value is longer than what contains it");
    return this.at + length;
  }

  /** A cursor over the contents of the next element; this one moves behind it. */
  enter(tag: number): BerCursor {
    const end = this.open(tag);
    const inner = new BerCursor(this.buffer, this.at, end);
    this.at = end;
    return inner;
  }

  /** The contents of the next element, as a view into the message. */
  octets(tag: number = ber.octetString): Buffer {
    const end = this.open(tag);
    const octets = this.buffer.subarray(this.at, end);
    this.at = end;
    return octets;
  }

  /** A string whose exact bytes do not matter, such as a diagnostic; bad UTF-8 becomes U+FFFD. */
  text(tag: number = ber.octetString): string {
    const end = this.open(tag);
    const text = this.buffer.toString("utf8", this.at, end);
    this.at = end;
    return text;
  }

  /** A signed integer of one to four bytes. */
  integer(tag: number = ber.integer): number {
    const end = this.open(tag);
    const length = end - this.at;
    if (length < 1 || length > 4) throw protocolError(`an integer of ${length} bytes`);
    const value = this.buffer.readIntBE(this.at, length);
    this.at = end;
    return value;
  }

  /** Steps over the next element, whatever it is. */
  skip(): void {
    this.at = this.open(this.peekTag());
  }

  #length(): number {
    const first = this.at < this.end ? this.buffer[this.at] : undefined;
    if (first === undefined) throw protocolError("a length is missing");
    this.at += 1;
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0) throw protocolError("a length is indefinite");
    if (count > 4) throw protocolError(`a length of ${count} bytes`);
    if (count > this.end - this.at) throw protocolError("a length is cut off");
    const length = this.buffer.readUIntBE(this.at, count);
    this.at += count;
    return length;
  }
}
