// The thread in which the embedded database lives: its statements are synchronous and would stop every sign-in. Opens the
// data in `folder`, creating it where there is none, listens on `socketPath`, says "listening", and ends when told "stop".
// Acts when imported, since it is the thread's entry; nothing imports more of it than a type.

import { chmod, rm } from "node:fs/promises";
import { parentPort, workerData } from "node:worker_threads";
import { createBridge } from "./embedded-bridge.ts";
import { openEngineData, startEngine } from "./embedded-engine.ts";

export interface EmbeddedWorkerStart {
  folder: string;
  socketPath: string;
}

const limits = {
  // Far above a page of a sync, far below the 2 GiB that the engine can address.
  batchBytes: 64 * 1024 * 1024,
  // As on a PostgreSQL server, see database.ts.
  idleInTransactionMs: 60_000,
  // A daemon's pool and several commands beside it.
  connections: 50,
};

if (parentPort === null) throw new Error("embedded-worker.ts is a thread, not a program");
const parent = parentPort;
// Given by embedded-database.ts in this type.
const start = workerData as EmbeddedWorkerStart;

const database = await openEngineData(start.folder);
const server = createBridge(await startEngine(database), { limits, onLost: endThread });
// Left over from a killed process.
await rm(start.socketPath, { force: true });
await new Promise<void>((resolve, reject) => server.once("error", reject).listen(start.socketPath, resolve));
await chmod(start.socketPath, 0o600);
parent.once("message", () => void stop());
parent.postMessage("listening");

async function stop(): Promise<void> {
  server.close();
  await database.close();
  // Ends the connections as well; whoever is in a transaction finds it rolled back.
  process.exit(0);
}

// The session cannot be had back; the owner starts another thread.
function endThread(error: unknown): void {
  parent.postMessage(`lost: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
