// The main thread's side of a listing: hands pages to the reader one at a time, and ends a thread that is stuck, out of
// memory or no longer wanted. Keeps no thread: listing-threads.ts does.

import type { Worker } from "node:worker_threads";
import { AppError } from "../errors.ts";
import { abortedBy } from "./ldap/connect-session.ts";
import {
  type FromWorker,
  type ListingOrder,
  type ListingSink,
  type ToWorker,
  unpackError,
} from "./listing-messages.ts";
import type { ListingPage, ListingReport } from "./listing-page.ts";

export interface Supervision extends ListingSink {
  signal: AbortSignal;
  /** A thread that has said nothing for this long is stuck. */
  silenceMs: number;
}

/** Before the thread is supervised. */
export function orderListing(worker: Worker, order: ListingOrder): void {
  const message: ToWorker = { kind: "list", order };
  worker.postMessage(message);
}

/**
 * Resolves when the listing is complete and all its pages have been taken, and the thread is free for the next one; rejects in every
 * other case, and then the thread is gone. No page is being taken when it settles.
 */
export async function superviseWorker(worker: Worker, supervision: Supervision): Promise<ListingReport> {
  const over = new AbortController();
  const pages = new PageTaker(worker, supervision);
  try {
    return await Promise.race([
      listen(worker, pages, supervision, over.signal),
      rejectOnAbort(supervision.signal, over.signal),
      rejectOnSilence(worker, supervision.silenceMs, over.signal),
    ]);
  } catch (error) {
    await worker.terminate();
    throw error;
  } finally {
    over.abort();
    await pages.stop();
  }
}

class PageTaker {
  readonly #worker: Worker;
  readonly #sink: ListingSink;
  #last: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(worker: Worker, sink: ListingSink) {
    this.#worker = worker;
    this.#sink = sink;
  }

  /** Takes the page after those before it; settles when it is taken. */
  add(page: ListingPage): Promise<void> {
    this.#last = this.#last.then(() => this.#take(page));
    return this.#last;
  }

  /** Settles when all pages so far have been taken. */
  finish(): Promise<void> {
    return this.#last;
  }

  /** Takes no page after the one being taken, and waits for that one. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#last.catch(() => {});
  }

  async #take(page: ListingPage): Promise<void> {
    if (this.#stopped) return;
    await this.#sink.onPage(page);
    const taken: ToWorker = { kind: "taken" };
    this.#worker.postMessage(taken);
  }
}

function listen(
  worker: Worker,
  pages: PageTaker,
  { onNote }: Supervision,
  over: AbortSignal,
): Promise<ListingReport> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: FromWorker) => {
      if (message.kind === "page") pages.add(message.page).catch(reject);
      if (message.kind === "note") onNote(message.note);
      if (message.kind === "done") pages.finish().then(() => resolve(message.report), reject);
      if (message.kind === "failed") reject(unpackError(message.error));
    };
    const onError = (error: unknown) => reject(errorOfThread(error));
    // All messages have come by now: behind "done", the pages still being taken decide.
    const onExit = () =>
      pages.finish().then(() => reject(new Error("the listing's thread ended early")), reject);
    worker.on("message", onMessage).on("error", onError).on("exit", onExit);
    over.addEventListener("abort", () => {
      worker.off("message", onMessage).off("error", onError).off("exit", onExit);
    });
  });
}

function errorOfThread(error: unknown): Error {
  if (error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY") {
    return new AppError(
      "directory-message-too-large",
      "the directory sends more at once than a listing may keep in memory",
      {
        remedy: "Lower limits.pageSize; if a group has very many members, leave it out with groups.filter.",
        cause: error,
      },
    );
  }
  return new Error("the listing's thread broke", { cause: error });
}

function rejectOnAbort(signal: AbortSignal, over: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(abortedBy(signal));
    signal.addEventListener("abort", () => reject(abortedBy(signal)), { once: true, signal: over });
  });
}

function rejectOnSilence(worker: Worker, silenceMs: number, over: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const checkMs = silenceMs / 4;
    let heardAt = performance.now();
    let checkedAt = heardAt;
    const timer = setInterval(() => {
      const now = performance.now();
      // This thread was busy itself, and messages may be waiting.
      if (now - checkedAt > 2 * checkMs) heardAt = now;
      checkedAt = now;
      if (now - heardAt > silenceMs) reject(stuck(silenceMs));
    }, checkMs);
    const onMessage = () => {
      heardAt = performance.now();
    };
    worker.on("message", onMessage);
    over.addEventListener("abort", () => {
      clearInterval(timer);
      worker.off("message", onMessage);
    });
  });
}

function stuck(silenceMs: number): AppError {
  return new AppError(
    "directory-timeout",
    `the listing's thread has been stuck for ${silenceMs / 1000} s and was ended`,
    {
      remedy:
        "Look at this machine's load; if that is low, the server sends something that dirmfa should be able to refuse.",
    },
  );
}
