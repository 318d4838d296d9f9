// Asks a directory about one user, in a thread that is kept for the next question. A thread that does
// not answer in time is ended.

import { Worker } from "node:worker_threads";
import type { DirectoryConfig } from "../config/config.ts";
import { AppError } from "../errors.ts";
import { abortedBy } from "./ldap/connect-session.ts";
import { unpackError } from "./listing-messages.ts";
import type { FromReader, ToReader, UserQuestion, UserReading } from "./user-question.ts";

export interface UserReader {
  /**
   * One question at a time. Rejects with an AppError as a listing does, and with what `signal` was aborted with; no answer
   * comes after that.
   */
  read(question: UserQuestion, signal: AbortSignal): Promise<UserReading>;
  stop(): Promise<void>;
}

// A user's entry and up to 1,000 groups without their members.
const readerHeapMb = 64;
// A thread costs some 10 MB; after a minute without a question it goes.
const threadIdleMs = 60_000;

/** Starts no thread before the first question. `timeoutMs`: for one question, every server of the directory included. */
export function createUserReader(directory: DirectoryConfig, timeoutMs: number): UserReader {
  const { timeouts, urls } = directory;
  const hurried: DirectoryConfig = {
    ...directory,
    timeouts: {
      ...timeouts,
      // So that a dead server leaves time for the next one.
      connectMs: Math.min(timeouts.connectMs, Math.max(1, Math.floor(timeoutMs / urls.length))),
      idleMs: Math.min(timeouts.idleMs, timeoutMs),
    },
  };
  let worker: Worker | undefined;
  const start = () => {
    const started = startWorker(hurried);
    started.once("exit", () => {
      if (worker === started) worker = undefined;
    });
    return started;
  };
  let idle: NodeJS.Timeout | undefined;
  const end = async () => {
    clearTimeout(idle);
    const ended = worker;
    worker = undefined;
    await ended?.terminate();
  };
  return {
    async read(question, signal) {
      if (signal.aborted) throw abortedBy(signal);
      clearTimeout(idle);
      worker ??= start();
      const asked = worker;
      asked.ref();
      try {
        return await ask(asked, question, signal);
      } catch (error) {
        // Whatever the thread was doing, it must not answer the next question with it.
        if (!(error instanceof AppError) || signal.aborted) await end();
        throw error;
      } finally {
        // A thread that waits for the next question keeps no process alive.
        asked.unref();
        idle = setTimeout(() => void end(), threadIdleMs).unref();
      }
    },
    stop: end,
  };
}

function startWorker(directory: DirectoryConfig): Worker {
  const worker = new Worker(workerUrl(), {
    workerData: directory,
    name: `user of ${directory.name}`,
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: readerHeapMb },
  });
  worker.on("error", () => {}); // whoever asks listens too; an error without a listener would end the process
  return worker;
}

async function ask(worker: Worker, question: UserQuestion, signal: AbortSignal): Promise<UserReading> {
  const over = new AbortController();
  try {
    return await new Promise<UserReading>((resolve, reject) => {
      const onMessage = (message: FromReader) => {
        if (message.kind === "answer") resolve(message.reading);
        else reject(unpackError(message.error));
      };
      const onError = (error: unknown) => reject(new Error("the reader's thread broke", { cause: error }));
      const onExit = () => reject(new Error("the reader's thread ended early"));
      worker.on("message", onMessage).on("error", onError).on("exit", onExit);
      signal.addEventListener("abort", () => reject(abortedBy(signal)), { signal: over.signal });
      over.signal.addEventListener("abort", () => {
        worker.off("message", onMessage).off("error", onError).off("exit", onExit);
      });
      const message: ToReader = { question };
      worker.postMessage(message);
    });
  } finally {
    over.abort();
  }
}

// As .ts beside this file when run from source, as .js when compiled.
function workerUrl(): URL {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return new URL(`./read-user-in-worker.${extension}`, import.meta.url);
}
