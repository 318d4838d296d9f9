// The threads in which directories are listed. One that has ended a listing well is kept a while for the next one of its
// directory, since to start a thread costs more than to read what has changed. One that failed is never used again.

import { Worker } from "node:worker_threads";
import type { DirectoryConfig } from "../config/config.ts";

export interface ListingThreads {
  /** The thread that is kept for this directory, or a new one. Nobody else has it until it is given back. */
  take(directory: DirectoryConfig): Worker;
  /** Only after a listing that ended well: the thread waits for its next order. */
  giveBack(directory: DirectoryConfig, worker: Worker): Promise<void>;
  /** Ends the threads that wait; one that is given back later ends at once. */
  stop(): Promise<void>;
}

// From one incremental run to the next, where they are a minute apart and take some seconds. A thread costs some 10 MB.
const threadIdleMs = 75_000;

export function createListingThreads(idleMs = threadIdleMs): ListingThreads {
  const waiting = new Map<string, { worker: Worker; heapMb: number; timer: NodeJS.Timeout }>();
  let stopped = false;
  const forget = (name: string, worker: Worker) => {
    const kept = waiting.get(name);
    if (kept?.worker !== worker) return;
    clearTimeout(kept.timer);
    waiting.delete(name);
  };
  return {
    take(directory) {
      const { name } = directory;
      const kept = waiting.get(name);
      if (kept === undefined || kept.heapMb !== heapMbOf(directory)) {
        const worker = startListingThread(directory);
        return worker.once("exit", () => forget(name, worker));
      }
      forget(name, kept.worker);
      kept.worker.ref();
      return kept.worker;
    },
    async giveBack(directory, worker) {
      const { name } = directory;
      if (worker.threadId === -1) return; // ended by itself after its last word
      if (stopped || waiting.has(name)) {
        await worker.terminate();
        return;
      }
      // A thread that waits keeps no process alive, and neither does its timer.
      worker.unref();
      const end = () => {
        forget(name, worker);
        void worker.terminate();
      };
      waiting.set(name, { worker, heapMb: heapMbOf(directory), timer: setTimeout(end, idleMs).unref() });
    },
    async stop() {
      stopped = true;
      const kept = [...waiting];
      for (const [name, { worker }] of kept) forget(name, worker);
      await Promise.all(kept.map(([, { worker }]) => worker.terminate()));
    },
  };
}

// Heap of the listing's thread: a page of 1,000 users takes about 2 MiB, a group of 100,000 members about 30 MiB.
const listingHeapMb = 96;
// A message is held as bytes outside the heap; its members, as strings, take up to this much of it inside.
const heapPerMessageByte = 3;
// A small young generation: the memory of a page is soon free again, and more would only make the process bigger.
const listingNurseryMb = 8;

function heapMbOf({ limits }: DirectoryConfig): number {
  return listingHeapMb + Math.ceil((limits.messageBytes * heapPerMessageByte) / 1024 / 1024);
}

/** A thread that waits for its first order. */
export function startListingThread(directory: DirectoryConfig): Worker {
  const worker = new Worker(workerUrl(), {
    name: `listing ${directory.name}`,
    execArgv: [],
    resourceLimits: {
      maxOldGenerationSizeMb: heapMbOf(directory),
      maxYoungGenerationSizeMb: listingNurseryMb,
    },
  });
  worker.on("error", () => {}); // whoever lists listens too; an error without a listener would end the process
  return worker;
}

// As .ts beside this file when run from source, as .js when compiled.
function workerUrl(): URL {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return new URL(`./list-directory-in-worker.${extension}`, import.meta.url);
}
