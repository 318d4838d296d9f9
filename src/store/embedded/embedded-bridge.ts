// Serves the one session of the embedded database to many connections of a Unix socket. Statements go in as whole batches,
// and a connection in a transaction has the session to itself, so that no two connections ever mix. What outlives a
// transaction (settings made with `set`, temporary tables) is shared by all: dirmfa uses neither. Adds no SQL to what clients send.

import { createServer, type Server, type Socket } from "node:net";
import type { Engine } from "./embedded-engine.ts";
import {
  type ClientMessage,
  encodeFatal,
  encodeReset,
  MessageReader,
  renameStatement,
  splitReady,
  startupCodes,
  WireError,
} from "./wire-messages.ts";

export interface BridgeLimits {
  /** Longest message, and longest batch up to its Sync. */
  batchBytes: number;
  /** A transaction that waits this long for its client is rolled back. */
  idleInTransactionMs: number;
  connections: number;
}

export interface BridgeOptions {
  limits: BridgeLimits;
  /** The engine is lost, and every connection with it. */
  onLost(error: unknown): void;
}

/** A server that is not listening yet. Closing it does not end its connections. */
export function createBridge(engine: Engine, options: BridgeOptions): Server {
  const turns = new Turns();
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    const session = new Session(socket, engine, turns, `c${connections}_`, options.limits);
    session.run().catch(options.onLost);
  });
  server.maxConnections = options.limits.connections;
  return server;
}

/** First come, first served. */
class Turns {
  #taken = false;
  readonly #waiting: (() => void)[] = [];

  async take(): Promise<void> {
    if (this.#taken) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#taken = true;
  }

  give(): void {
    const next = this.#waiting.shift();
    // Stays taken when there is a next one, so that nobody slips in before it.
    if (next) next();
    else this.#taken = false;
  }
}

// Query, Parse, Bind, Describe, Execute, Close, Sync, Flush. Anything else would end the engine, and everyone's session.
const passedOn = new Set("QPBDECSH");
const endsBatch = new Set("QSH");
// What is left of a COPY that failed; a server ignores it too.
const ignored = new Set("dcf");

class Session {
  readonly #socket: Socket;
  readonly #engine: Engine;
  readonly #turns: Turns;
  readonly #prefix: string;
  readonly #limits: BridgeLimits;
  readonly #reader: MessageReader;
  readonly #statements = new Set<string>();
  #batch: Buffer[] = [];
  #batchBytes = 0;
  #started = false;
  #hasTurn = false;

  constructor(socket: Socket, engine: Engine, turns: Turns, prefix: string, limits: BridgeLimits) {
    this.#socket = socket;
    this.#engine = engine;
    this.#turns = turns;
    this.#prefix = prefix;
    this.#limits = limits;
    this.#reader = new MessageReader(limits.batchBytes);
  }

  /** Until the connection ends, however it does. Rejects only when the engine is lost. */
  async run(): Promise<void> {
    this.#socket.on("timeout", () => this.#end("25P03", "idle in transaction for too long"));
    // The loop below ends with it.
    this.#socket.on("error", () => {});
    for await (const chunk of chunksOf(this.#socket)) {
      this.#reader.push(chunk);
      if (!(await this.#readMessages())) break;
    }
    this.#socket.destroySoon();
    await this.#leave();
  }

  /** False when the connection is to end. */
  async #readMessages(): Promise<boolean> {
    try {
      while (!this.#started) {
        const code = this.#reader.nextStartup();
        if (code === undefined) return true;
        // A statement runs to its end before the thread can look at another connection: there is nothing to cancel.
        if (code === startupCodes.cancel) return false;
        this.#start(code);
      }
      for (;;) {
        const message = this.#reader.nextMessage();
        if (message === undefined) return true;
        if (message.type === "X") return false;
        await this.#receive(message);
      }
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#end(error.code, error.message);
      return false;
    }
  }

  #start(code: number): void {
    if (code === startupCodes.tls || code === startupCodes.gssEncryption) {
      this.#socket.write("N");
      return;
    }
    if (code !== startupCodes.version3) throw new WireError("0A000", "unsupported protocol version");
    // No password: whoever reaches a socket in a private folder could read the database's files as well.
    this.#socket.write(this.#engine.greeting);
    this.#started = true;
  }

  async #receive(message: ClientMessage): Promise<void> {
    if (ignored.has(message.type)) return;
    if (!passedOn.has(message.type)) throw new WireError("08P01", "message type refused");
    const { bytes, name } = renameStatement(message, this.#prefix);
    if (name !== undefined) this.#statements.add(name);
    this.#batch.push(bytes);
    this.#batchBytes += bytes.length;
    if (this.#batchBytes > this.#limits.batchBytes) throw new WireError("54000", "batch too long");
    if (endsBatch.has(message.type)) await this.#runBatch(message.type === "H");
  }

  // PGlite says ReadyForQuery whenever it has nothing more to read, and after an error even before the Sync: only whole
  // batches keep the conversation in step, and after a Flush it is taken out again.
  async #runBatch(isFlush: boolean): Promise<void> {
    const batch = Buffer.concat(this.#batch, this.#batchBytes);
    this.#batch = [];
    this.#batchBytes = 0;
    this.#socket.setTimeout(0);
    if (!this.#hasTurn) await this.#turns.take();
    this.#hasTurn = true;
    const reply = await this.#engine.run(batch);
    const { status, replyWithoutReady } = splitReady(reply);
    if (!isFlush && status === undefined) throw new Error("embedded database gave no ReadyForQuery");
    this.#socket.write(isFlush ? replyWithoutReady : reply);
    // After a Flush a transaction may be open that only the Sync ends, whatever the status.
    if (status === "I" && !isFlush) this.#giveTurn();
    else this.#socket.setTimeout(this.#limits.idleInTransactionMs);
  }

  #giveTurn(): void {
    this.#hasTurn = false;
    this.#turns.give();
  }

  #end(code: string, message: string): void {
    this.#socket.write(encodeFatal(code, message));
    this.#socket.destroySoon();
  }

  // The next connection must find the session as if this one had never been.
  async #leave(): Promise<void> {
    if (!this.#hasTurn && this.#statements.size === 0) return;
    if (!this.#hasTurn) await this.#turns.take();
    await this.#engine.run(encodeReset(this.#statements));
    this.#giveTurn();
  }
}

async function* chunksOf(socket: Socket): AsyncGenerator<Buffer> {
  try {
    // Left open when the loop ends, so that a last message can be sent.
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) yield chunk;
  } catch {
    // A connection that broke is treated as one that was closed.
  }
}
