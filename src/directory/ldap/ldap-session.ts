// One LDAP conversation over one connected socket: a request at a time, answers streamed to the caller with
// back-pressure. Never reconnects: a new connection would be anonymous, and would see less without an error.

import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import {
  AbandonRequest,
  BindRequest,
  type Control,
  ExtendedRequest,
  type Filter,
  PasswordPolicyControl,
  SearchRequest,
  UnbindRequest,
} from "ldapts";
import { AppError } from "../../errors.ts";
import { connectionLost, errorOfSocket, protocolError } from "./connection-errors.ts";
import { printable } from "./decode-text.ts";
import {
  decodeEntry,
  decodeExtendedName,
  decodeIntermediate,
  decodeReferences,
  decodeResult,
  type IntermediateResponse,
  type LdapMessage,
  type LdapResult,
  openMessage,
  operation,
  type RawEntry,
} from "./ldap-message.ts";
import { MessageFraming } from "./message-framing.ts";

export interface SearchOptions {
  base: string;
  scope: "base" | "one" | "sub";
  filter: Filter;
  attributes: readonly string[];
  controls?: Control[];
}

/** What a search sends before its result. A listener that returns a promise pauses the socket until it settles. */
export interface SearchListener {
  onEntry(entry: RawEntry): Promise<void> | undefined;
  onReference?(uris: string[]): void;
  onIntermediate?(response: IntermediateResponse): void;
}

export interface SessionOptions {
  url: string;
  /** The name that TLS checks the certificate against, for messages. */
  expectedName: string;
  idleMs: number;
  messageBytes: number;
}

interface Pending {
  messageId: number;
  finalOperation: number;
  listener: SearchListener | undefined;
  resolve(result: LdapResult): void;
  reject(error: unknown): void;
}

const noticeOfDisconnection = "1.3.6.1.4.1.1466.20036";
const startTlsRequest = "1.3.6.1.4.1.1466.20037";

export class LdapSession {
  readonly url: string;
  #socket: Socket;
  readonly #options: SessionOptions;
  readonly #framing: MessageFraming;
  #nextMessageId = 1;
  #pending: Pending | undefined;
  // True while the caller works on an entry: nothing is read, and silence is not the server's fault.
  #callerBusy = false;
  #idleTimer: NodeJS.Timeout | undefined;
  #notice: string | undefined;
  #closedBy: AppError | undefined;

  /** Takes over a connected socket. */
  constructor(socket: Socket, options: SessionOptions) {
    this.url = options.url;
    this.#options = options;
    this.#framing = new MessageFraming(options.messageBytes);
    this.#socket = socket;
    this.#listen();
  }

  /** Why the session can no longer be used, or undefined while it can. */
  get closedBy(): AppError | undefined {
    return this.#closedBy;
  }

  /** What protects the connection; undefined for plaintext. */
  get protection(): { protocol: string; certificateValidTo: Date } | undefined {
    if (!(this.#socket instanceof TLSSocket)) return undefined;
    const validTo = new Date(this.#socket.getPeerCertificate().valid_to);
    return { protocol: this.#socket.getProtocol() ?? "unknown", certificateValidTo: validTo };
  }

  /** A simple bind. Any result code is returned; asks for password policy hints (draft-behera) along with it. */
  bind(dn: string, passwordSecret: string): Promise<LdapResult> {
    const controls = [new PasswordPolicyControl()];
    return this.#request(operation.bindResponse, undefined, (messageId) =>
      new BindRequest({ messageId, dn, password: passwordSecret, controls }).write(),
    );
  }

  /** A search to which we add no limits, without following aliases. Any result code is returned. */
  search(options: SearchOptions, listener: SearchListener): Promise<LdapResult> {
    return this.#request(operation.searchDone, listener, (messageId) =>
      new SearchRequest({
        messageId,
        baseDN: options.base,
        scope: options.scope,
        filter: options.filter,
        attributes: [...options.attributes],
        derefAliases: "never",
        sizeLimit: 0, // none: a limit of ours would look like a complete answer
        timeLimit: 0, // none: ldapts would send 10 s
        controls: options.controls ?? [],
      }).write(),
    );
  }

  /**
   * Asks for StartTLS and continues over the socket that `upgrade` makes. Bytes that came unencrypted behind the
   * server's consent could be an attacker's answers to later requests, so there must be none.
   */
  async startTls(upgrade: (socket: Socket) => Promise<Socket>): Promise<LdapResult> {
    const result = await this.#request(operation.extendedResponse, undefined, (messageId) => {
      return new ExtendedRequest({ messageId, oid: startTlsRequest }).write();
    });
    if (result.code !== 0) return result;
    this.#requireNothingUnread();
    this.#unlisten();
    try {
      this.#socket = await upgrade(this.#socket);
    } catch (error) {
      throw this.close(errorOfSocket(error, this.url, this.#options.expectedName));
    }
    this.#listen();
    return result;
  }

  /** Ends the conversation: a request under way is abandoned and fails with `reason`. Returns what closed it first. */
  close(reason?: AppError): AppError {
    if (this.#closedBy !== undefined) return this.#closedBy;
    const closedBy = reason ?? new AppError("aborted", "the connection to the directory was closed");
    const pending = this.#pending;
    this.#closedBy = closedBy;
    this.#pending = undefined;
    clearTimeout(this.#idleTimer);
    this.#sayGoodbye(pending);
    pending?.reject(closedBy);
    return closedBy;
  }

  #sayGoodbye(pending: Pending | undefined): void {
    if (this.#socket.writable) {
      const messageId = this.#nextMessageId;
      if (pending?.finalOperation === operation.searchDone) {
        this.#socket.write(new AbandonRequest({ messageId, abandonId: pending.messageId }).write());
      }
      this.#socket.write(new UnbindRequest({ messageId: messageId + 1 }).write());
    }
    this.#socket.destroySoon();
    // A peer that reads nothing would delay the end; half a second is enough for one that reads.
    const socket = this.#socket;
    setTimeout(() => socket.destroy(), 500).unref();
  }

  #request(
    finalOperation: number,
    listener: SearchListener | undefined,
    write: (messageId: number) => Buffer,
  ): Promise<LdapResult> {
    if (this.#closedBy !== undefined) return Promise.reject(this.#closedBy);
    if (this.#pending !== undefined)
      return Promise.reject(new Error("a session takes one request at a time"));
    const messageId = this.#nextMessageId;
    this.#nextMessageId += 1;
    const request = write(messageId);
    return new Promise((resolve, reject) => {
      this.#pending = { messageId, finalOperation, listener, resolve, reject };
      this.#socket.write(request);
      this.#restartIdleTimer();
    });
  }

  #listen(): void {
    this.#socket.on("data", this.#onData);
    this.#socket.on("error", this.#onError);
    this.#socket.on("close", this.#onClose);
  }

  // This listener stays: the socket below TLS may still fail, and an error without a listener would end the process.
  #unlisten(): void {
    this.#socket.off("data", this.#onData);
    this.#socket.off("close", this.#onClose);
    this.#socket.pause();
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#framing.push(chunk);
    if (!this.#callerBusy) this.#drain();
  };

  readonly #onError = (error: Error): void => {
    this.close(errorOfSocket(error, this.url, this.#options.expectedName));
  };

  readonly #onClose = (): void => {
    this.close(connectionLost(this.url, this.#notice));
  };

  #drain(): void {
    try {
      while (!this.#callerBusy && this.#closedBy === undefined) {
        const bytes = this.#framing.next();
        if (bytes === undefined) break;
        this.#take(openMessage(bytes));
      }
    } catch (error) {
      this.close(error instanceof AppError ? error : protocolError(String(error)));
      return;
    }
    if (this.#pending !== undefined && !this.#callerBusy) this.#restartIdleTimer();
  }

  #take(message: LdapMessage): void {
    if (message.messageId === 0) {
      this.#takeUnsolicited(message);
      return;
    }
    const pending = this.#pending;
    if (pending === undefined || message.messageId !== pending.messageId) {
      throw protocolError(`an answer to request ${message.messageId}, which is not under way`);
    }
    if (message.operation === pending.finalOperation) {
      const result = decodeResult(message);
      this.#pending = undefined;
      clearTimeout(this.#idleTimer);
      pending.resolve(result);
      return;
    }
    this.#takeStreamed(message, pending.listener);
  }

  #takeStreamed(message: LdapMessage, listener: SearchListener | undefined): void {
    if (listener === undefined)
      throw protocolError(`operation 0x${message.operation.toString(16)} was not asked for`);
    switch (message.operation) {
      case operation.searchEntry: {
        const taking = listener.onEntry(decodeEntry(message));
        if (taking !== undefined) this.#waitForCaller(taking);
        return;
      }
      case operation.searchReference:
        listener.onReference?.(decodeReferences(message));
        return;
      case operation.intermediateResponse:
        listener.onIntermediate?.(decodeIntermediate(message));
        return;
      default:
        throw protocolError(`operation 0x${message.operation.toString(16)} in answer to a search`);
    }
  }

  #waitForCaller(taking: Promise<void>): void {
    this.#callerBusy = true;
    this.#socket.pause();
    clearTimeout(this.#idleTimer);
    taking.then(
      () => {
        this.#callerBusy = false;
        if (this.#closedBy !== undefined) return;
        this.#drain();
        if (!this.#callerBusy) this.#socket.resume();
      },
      (error: unknown) => {
        this.#callerBusy = false;
        this.#failRequest(error);
      },
    );
  }

  // The caller's own error reaches the caller as it is; the session is of no use any more.
  #failRequest(error: unknown): void {
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.reject(error);
    this.close();
  }

  #takeUnsolicited(message: LdapMessage): void {
    if (message.operation !== operation.extendedResponse) return;
    const result = decodeResult(message);
    if (decodeExtendedName(message.body) !== noticeOfDisconnection) return;
    this.#notice = printable(
      `${result.diagnostic || "notice of disconnection"} (result code ${result.code})`,
    );
    throw connectionLost(this.url, this.#notice);
  }

  #requireNothingUnread(): void {
    if (this.#closedBy !== undefined) throw this.#closedBy;
    if (this.#framing.unreadBytes === 0 && this.#socket.readableLength === 0) return;
    throw this.close(protocolError("unencrypted data after the answer to StartTLS"));
  }

  #restartIdleTimer(): void {
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => {
      const seconds = this.#options.idleMs / 1000;
      this.close(
        new AppError(
          "directory-timeout",
          `the server has been silent for ${seconds} s in the middle of an answer`,
          {
            remedy:
              "Look at the server's load and at firewalls in between; raise timeouts.idle if the server needs longer.",
            fields: { url: this.url },
          },
        ),
      );
    }, this.#options.idleMs);
  }
}
