// Which thread lists: the one of the directory's last listing where that ended well, never one that failed.

import { setTimeout as sleep } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { directoryConfigFor, type Slapd, startSlapd } from "../../scripts/servers/slapd.ts";
import type { DirectoryConfig } from "../../src/config/config.ts";
import { listDirectory } from "../../src/directory/list-directory.ts";
import { createListingThreads, type ListingThreads } from "../../src/directory/listing-threads.ts";
import { createLog } from "../../src/log.ts";
import { people } from "../support/sync-world.ts";
import { failureOf } from "./listing.ts";

let slapd: Slapd;
let taken: Worker[];
let threads: ListingThreads;
beforeAll(async () => {
  slapd = await startSlapd({ ldif: people(5) });
});
afterAll(() => slapd.stop());
beforeEach(() => {
  open();
});
afterEach(() => threads.stop());

function open(idleMs?: number): void {
  const { take, ...kept } = createListingThreads(idleMs);
  taken = [];
  threads = {
    ...kept,
    take(directory) {
      const worker = take(directory);
      taken.push(worker);
      return worker;
    },
  };
}

/** The number of users listed, or what `onPage` makes of it. */
async function list(overrides: Partial<DirectoryConfig> = {}, stop = new AbortController(), abort = false) {
  const report = await listDirectory(directoryConfigFor(slapd, overrides), {
    threads,
    log: createLog("silent"),
    signal: stop.signal,
    onPage: async () => {
      if (abort) stop.abort();
    },
  });
  return report.entries;
}

test("the next listing of a directory has the thread of the one before, and lists all again", async () => {
  const listed: number[] = [];
  while (listed.length < 12) listed.push(await list());
  expect(new Set(listed)).toEqual(new Set([5]));
  expect(new Set(taken).size).toBe(1);
  // None of them leaves anything behind; node warns from the eleventh on.
  expect(taken[0]?.listenerCount("exit")).toBe(1);
  expect(taken[0]?.listenerCount("message")).toBe(0);
});

test("the thread of a listing that failed is gone", async () => {
  expect((await failureOf(list({}, new AbortController(), true))).code).toBe("aborted");
  expect((await failureOf(list({ urls: ["ldap://127.0.0.1:1"] }))).code).toBe("directory-unreachable");
  expect(taken.map(({ threadId }) => threadId)).toEqual([-1, -1]);
  expect(await list()).toBe(5);
  expect(new Set(taken).size).toBe(3);
});

test("listings beside each other, of other directories or with a larger heap have threads of their own", async () => {
  expect(await Promise.all([list(), list()])).toEqual([5, 5]);
  await list({ name: "other" });
  const { limits } = directoryConfigFor(slapd);
  await list({ limits: { ...limits, messageBytes: 2 * limits.messageBytes } });
  expect(new Set(taken).size).toBe(4);
});

test("a thread that has waited for too long, or until the process stops, is gone", async () => {
  open(50);
  await list();
  for (let left = 200; left > 0 && taken[0]?.threadId !== -1; left -= 1) await sleep(20);
  expect(taken[0]?.threadId).toBe(-1);
  await list();
  await threads.stop();
  await list(); // a run that ends after the stop keeps nothing either
  expect(taken.map(({ threadId }) => threadId)).toEqual([-1, -1, -1]);
});
