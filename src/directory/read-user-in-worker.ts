// Entry of the reader's thread: answers questions about single users, one at a time, over a session that it keeps for the
// next one. What a hostile or broken server sends is decoded here, apart from the thread that answers sign-ins.

import { parentPort, workerData } from "node:worker_threads";
import type { DirectoryConfig } from "../config/config.ts";
import { fromFirstServer } from "./failover.ts";
import { connectSession } from "./ldap/connect-session.ts";
import type { LdapSession } from "./ldap/ldap-session.ts";
import { packError } from "./listing-messages.ts";
import { readUser } from "./read-user-session.ts";
import type { FromReader, ToReader, UserQuestion, UserReading } from "./user-question.ts";

// Shorter than servers and firewalls let a silent connection live.
const sessionIdleMs = 20_000;

/** The session of this thread, and the timer that ends it. */
class KeptSession {
  readonly #directory: DirectoryConfig;
  #session: LdapSession | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(directory: DirectoryConfig) {
    this.#directory = directory;
  }

  async ask(question: UserQuestion): Promise<UserReading> {
    clearTimeout(this.#timer);
    const kept = this.#session;
    try {
      if (kept !== undefined && kept.closedBy === undefined)
        return await readUser(kept, this.#directory, question);
    } catch (error) {
      // The server may have ended a connection that was idle; a new one is tried once.
      if (kept?.closedBy === undefined) throw error;
    }
    this.#session = undefined;
    // Whoever asked ends the thread when it takes too long.
    const never = new AbortController().signal;
    return await fromFirstServer(this.#directory, async ({ urls: [url] }) => {
      this.#session?.close();
      this.#session = await connectSession(url, this.#directory, never);
      return readUser(this.#session, this.#directory, question);
    });
  }

  rest(): void {
    this.#timer = setTimeout(() => {
      this.#session?.close();
      this.#session = undefined;
    }, sessionIdleMs);
  }
}

if (parentPort !== null) {
  const port = parentPort;
  const kept = new KeptSession(workerData as DirectoryConfig); // given by read-user.ts
  port.on("message", async ({ question }: ToReader) => {
    const post = (message: FromReader) => port.postMessage(message);
    try {
      post({ kind: "answer", reading: await kept.ask(question) });
    } catch (error) {
      post({ kind: "failed", error: packError(error) });
    } finally {
      kept.rest();
    }
  });
}
