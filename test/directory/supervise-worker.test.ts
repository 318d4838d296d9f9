// How the main thread ends a listing's thread that misbehaves: stuck, too big, dead, or no longer wanted.

import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import type { ListingPage } from "../../src/directory/listing-page.ts";
import { packColumns } from "../../src/directory/packed-columns.ts";
import { type Supervision, superviseWorker } from "../../src/directory/supervise-worker.ts";
import { AppError } from "../../src/errors.ts";
import { failureOf } from "./listing.ts";

const page: ListingPage = {
  kind: "groups",
  groups: packColumns({ directoryIds: [], names: [], nameKeys: [], dns: [], dnKeys: [], hashes: [] }),
  members: packColumns({ memberKeys: [] }),
  memberRows: [],
  skipped: [],
};
const report = {
  server: { url: "ldap://a", identity: "a", state: null },
  entries: 0,
  skipped: 0,
  groups: 0,
  members: 0,
};

function startThread(source: string, maxOldGenerationSizeMb = 64): Worker {
  const head = `const { parentPort, workerData } = require("node:worker_threads"); const post = (m) => parentPort.postMessage(m);`;
  return new Worker(head + source, {
    eval: true,
    workerData: { page, report },
    resourceLimits: { maxOldGenerationSizeMb },
  });
}

function supervise(worker: Worker, overrides: Partial<Supervision> = {}) {
  const defaults = {
    signal: new AbortController().signal,
    silenceMs: 10_000,
    onPage: async () => {},
    onNote: () => {},
  };
  return superviseWorker(worker, { ...defaults, ...overrides });
}

test("a thread in an endless loop is ended after its silence", async () => {
  const failure = await failureOf(supervise(startThread("for (;;);"), { silenceMs: 400 }));
  expect(failure.code).toBe("directory-timeout");
});

test("a thread that gives signs of life is left alone", async () => {
  const worker = startThread(`const timer = setInterval(() => post({ kind: "alive" }), 20);
    setTimeout(() => { clearInterval(timer); post({ kind: "done", report: workerData.report }); }, 2000);`);
  await expect(supervise(worker, { silenceMs: 1_000 })).resolves.toEqual(report);
});

test("a thread that is out of memory is told from one that broke", async () => {
  const big = startThread("const all = []; for (;;) all.push(new Array(1000).fill({}).map(() => ({})));", 16);
  expect((await failureOf(supervise(big))).code).toBe("directory-message-too-large");
  const broken = startThread("throw new TypeError('broken');");
  await expect(supervise(broken)).rejects.toThrow("the listing's thread broke");
});

test("a thread that ends without a word rejects the listing", async () => {
  await expect(supervise(startThread("process.exit(0);"))).rejects.toThrow("ended early");
});

test("an error keeps its code, message, remedy and fields on the way", async () => {
  const error = { code: "directory-busy", message: "busy", remedy: "wait", fields: { url: "ldap://a" } };
  const worker = startThread(`post({ kind: "failed", error: ${JSON.stringify(error)} });`);
  const failure = await failureOf(supervise(worker));
  expect(failure).toBeInstanceOf(AppError);
  expect(failure).toMatchObject(error);
});

test("the report comes when all pages have been taken, one at a time", async () => {
  const worker = startThread(`for (let i = 0; i < 3; i++) post({ kind: "page", page: workerData.page });
    post({ kind: "done", report: workerData.report });`);
  let open = 0;
  const seen: number[] = [];
  await supervise(worker, {
    onPage: async () => {
      open += 1;
      await sleep(50);
      seen.push(open);
      open -= 1;
    },
  });
  expect(seen).toEqual([1, 1, 1]);
});

test("a page that is refused ends the listing with the same error, and no further page is taken", async () => {
  const worker = startThread(`for (let i = 0; i < 3; i++) post({ kind: "page", page: workerData.page });
    post({ kind: "done", report: workerData.report });`);
  let calls = 0;
  const refused = new Error("disk full");
  const listing = supervise(worker, {
    onPage: async () => {
      calls += 1;
      throw refused;
    },
  });
  await expect(listing).rejects.toBe(refused);
  expect(calls).toBe(1);
});

test("when an aborted listing settles, its thread is gone and no page is being taken", async () => {
  const worker = startThread(`setInterval(() => post({ kind: "page", page: workerData.page }), 10);`);
  const stop = new AbortController();
  let taking = 0;
  const listing = supervise(worker, {
    signal: stop.signal,
    onPage: async () => {
      taking += 1;
      await sleep(100);
      taking -= 1;
    },
  });
  setTimeout(() => stop.abort(), 250);
  expect((await failureOf(listing)).code).toBe("aborted");
  expect(taking).toBe(0);
  expect(worker.threadId).toBe(-1);
});
