// Asks a daemon for its health all the while, from a separate thread: what it measures is the daemon's delay and not
// that of a test which is busy itself.

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

export interface HealthSeen {
  answers: number;
  /** Statuses other than 200, and errors, as text. */
  failures: string[];
  slowestMs: number;
}

export interface HealthWatch {
  /** Ends the watch; what it has seen. */
  stop(): Promise<HealthSeen>;
}

const everyMs = 100;

export async function watchHealth(address: string): Promise<HealthWatch> {
  const worker = new Worker(new URL(import.meta.url), { workerData: address, execArgv: [] });
  await once(worker, "online");
  return {
    async stop() {
      worker.postMessage("stop");
      const [seen] = await once(worker, "message");
      return seen;
    },
  };
}

if (!isMainThread && parentPort !== null && typeof workerData === "string") {
  let stopped = false;
  parentPort.once("message", () => {
    stopped = true;
  });
  const seen: HealthSeen = { answers: 0, failures: [], slowestMs: 0 };
  while (!stopped) {
    await ask(workerData, seen);
    await sleep(everyMs);
  }
  parentPort.postMessage(seen);
}

async function ask(address: string, seen: HealthSeen): Promise<void> {
  const asked = performance.now();
  try {
    const answer = await fetch(`${address}/healthz`);
    await answer.arrayBuffer();
    if (answer.status === 200) seen.answers += 1;
    else seen.failures.push(`status ${answer.status}`);
  } catch (error) {
    seen.failures.push(String(error));
  }
  seen.slowestMs = Math.max(seen.slowestMs, performance.now() - asked);
}
