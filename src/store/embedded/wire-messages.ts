// The frames of the Postgres wire protocol 3.0, as far as the embedded database's socket needs them (PostgreSQL manual,
// "Message Formats"). Pure; trusts no length that it reads.

/** What a client's bytes broke; the connection is of no more use. */
export class WireError extends Error {
  override readonly name = "WireError";
  /** SQLSTATE. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export const startupCodes = {
  version3: 196_608, // 3.0
  cancel: 80_877_102,
  tls: 80_877_103,
  gssEncryption: 80_877_104,
} as const;

// The server's own limit for the first packet.
const startupMaxBytes = 10_000;

/** One message of a client after startup, header included. */
export interface ClientMessage {
  type: string;
  bytes: Buffer;
}

/** Cuts a client's byte stream into messages, none longer than `maxBytes`. */
export class MessageReader {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #size = 0;
  // Until this many bytes are there, looking again would only copy them again.
  #awaited = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
  }

  /** The code of the next startup packet, or undefined until it is complete. Its parameters are of no interest. */
  nextStartup(): number | undefined {
    const length = this.#peekLength(0, 8, startupMaxBytes);
    return length === undefined ? undefined : this.#take(length)?.readInt32BE(4);
  }

  /** The next message, or undefined until it is complete. */
  nextMessage(): ClientMessage | undefined {
    const length = this.#peekLength(1, 4, this.#maxBytes);
    const bytes = length === undefined ? undefined : this.#take(length + 1);
    return bytes && { type: String.fromCharCode(bytes.readUInt8(0)), bytes };
  }

  #peekLength(offset: number, least: number, most: number): number | undefined {
    const head = this.#size < Math.max(this.#awaited, offset + 4) ? undefined : this.#joined();
    const length = head?.readInt32BE(offset);
    if (length !== undefined && (length < least || length > most)) {
      throw new WireError("08P01", `message of ${length} bytes refused`);
    }
    return length;
  }

  #take(length: number): Buffer | undefined {
    this.#awaited = length;
    if (this.#size < length) return undefined;
    const all = this.#joined();
    this.#chunks = length === all.length ? [] : [all.subarray(length)];
    this.#size -= length;
    this.#awaited = 0;
    return all.subarray(0, length);
  }

  #joined(): Buffer {
    const only = this.#chunks.length === 1 ? this.#chunks[0] : undefined;
    const all = only ?? Buffer.concat(this.#chunks, this.#size);
    this.#chunks = [all];
    return all;
  }
}

/**
 * The message with its prepared statement renamed by `prefix`, and the new name; the message itself where it names none.
 * All connections share one session of the embedded database, and would find each other's statements.
 */
export function renameStatement(message: ClientMessage, prefix: string): { bytes: Buffer; name?: string } {
  const { bytes } = message;
  const at = statementNameOffset(message);
  const end = at === undefined ? -1 : bytes.indexOf(0, at);
  if (at === undefined || end <= at) return { bytes };
  const renamed = Buffer.concat([bytes.subarray(0, at), Buffer.from(prefix), bytes.subarray(at)]);
  renamed.writeInt32BE(renamed.length - 1, 1);
  return { bytes: renamed, name: prefix + bytes.toString("utf8", at, end) };
}

// After the header of 5 bytes: Parse has the name first, Bind after the portal's, Describe and Close after an "S".
function statementNameOffset({ type, bytes }: ClientMessage): number | undefined {
  if (type === "P") return 5;
  if (type === "B") return bytes.indexOf(0, 5) + 1 || undefined;
  if ((type === "D" || type === "C") && bytes[5] === 0x53) return 6;
  return undefined;
}

/** Where a session stands after a reply: idle, in a transaction, or in a failed one. */
export type TransactionStatus = "I" | "T" | "E";

/**
 * The status that a server's reply ends in, undefined when there is no ReadyForQuery in it, and the reply with all of them
 * taken out.
 */
export function splitReady(reply: Buffer): {
  status: TransactionStatus | undefined;
  replyWithoutReady: Buffer;
} {
  const kept: Buffer[] = [];
  let status: string | undefined;
  for (let at = 0; at + 5 <= reply.length; ) {
    const end = at + 1 + reply.readInt32BE(at + 1);
    if (reply[at] === 0x5a) status = String.fromCharCode(reply.readUInt8(at + 5));
    else kept.push(reply.subarray(at, end));
    at = end;
  }
  return {
    status: status === "I" || status === "T" || status === "E" ? status : undefined,
    replyWithoutReady: Buffer.concat(kept),
  };
}

/**
 * Brings a session back to where it was before a client that broke off anywhere: its transaction rolled back, also one that
 * only its Sync would have committed or that waits for its Sync after an error; its prepared statements gone.
 */
export function encodeReset(statements: Iterable<string>): Buffer {
  const rollback = encode("Q", Buffer.from("rollback\0"));
  const closings = [...statements].map((name) => encode("C", Buffer.from(`S${name}\0`)));
  return Buffer.concat([rollback, encode("S"), rollback, ...closings, encode("S")]);
}

export function encodeStartup(user: string, database: string): Buffer {
  const body = Buffer.from(`user\0${user}\0database\0${database}\0\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + body.length, 0);
  head.writeInt32BE(startupCodes.version3, 4);
  return Buffer.concat([head, body]);
}

/** A server's last words before it closes the connection. */
export function encodeFatal(code: string, message: string): Buffer {
  return encode("E", Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${message}\0\0`));
}

function encode(type: string, body = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, "latin1");
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}
