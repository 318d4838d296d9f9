// The event stream (F16): audit events in the order of their seals, nothing skipped, each at least once, whatever dies.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { appendFile, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { recordAuditEvent } from "../../src/audit/audit-events-table.ts";
import { startEventStream, streamEvents } from "../../src/audit/event-stream.ts";
import { sealAuditEvents } from "../../src/audit/seal-audit-events.ts";
import { streamLines } from "../../src/audit/stream-lines.ts";
import { systemClock } from "../../src/clock.ts";
import type { AuditStreamConfig } from "../../src/config/config.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";

let database: TestDatabase;
let folder: string;
const log = pino({ level: "silent" });
const chainKey = randomBytes(32);
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dirmfa-stream-"));
  await database.db("audit_streams").delete();
});
afterEach(() => rm(folder, { recursive: true }));

let added = 0;
/** Adds events and seals them; the number that all have by now. */
async function addEvents(count: number, details: Record<string, unknown> = {}): Promise<number> {
  const { db } = database;
  await db.transaction(async (trx) => {
    for (let i = 0; i < count; i++) {
      const actor = { name: "alice", via: "cli" } as const;
      await recordAuditEvent(trx, { actor, action: "unlock", outcome: "done", details });
    }
  });
  await sealAuditEvents({ db, chainKey, holder: "test", clock: systemClock });
  added += count;
  return added;
}

const toFile = (path = join(folder, "audit.jsonl"), name = "siem"): AuditStreamConfig => ({
  name,
  target: { kind: "file", path },
});
const stream = (config: AuditStreamConfig, holder = "one", signal = new AbortController().signal) =>
  streamEvents({ db: database.db, log, holder }, config, signal);

const linesOf = (written: string) => written.split("\n").filter((line) => line !== "");
async function positionsIn(path: string): Promise<number[]> {
  return linesOf(await readFile(path, "utf8")).map((line) => Number(JSON.parse(line).position));
}
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

async function startReceiver(answer: RequestListener): Promise<AuditStreamConfig> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  // An address of TCP, as it listens on a port.
  const { port } = server.address() as AddressInfo;
  const target = {
    kind: "https",
    url: `http://127.0.0.1:${port}/`,
    tokenSecret: "t0ken",
    caPem: undefined,
  } as const;
  return { name: "siem", target };
}

test("a file gets every sealed event once, in order, and goes on after it was rotated away", async () => {
  const config = toFile();
  const path = join(folder, "audit.jsonl");
  const first = await addEvents(1100, { methods: ["totp"] });
  await stream(config);
  expect(await positionsIn(path)).toEqual(upTo(first));
  const line = linesOf(await readFile(path, "utf8")).at(-1) ?? "";
  expect(JSON.parse(line)).toMatchObject({
    type: "audit",
    position: String(first),
    sealedAt: expect.stringMatching(/Z$/),
    chainMac: expect.stringMatching(/^[0-9a-f]{64}$/),
    actor: "alice",
    action: "unlock",
    details: { methods: ["totp"] },
  });
  await rename(path, `${path}.1`);
  const second = await addEvents(3);
  await stream(config);
  expect(await positionsIn(path)).toEqual(upTo(second).slice(first));
});

test("another name begins with the oldest event", async () => {
  const all = await addEvents(1);
  await stream(toFile());
  await stream(toFile(join(folder, "other"), "other"));
  expect(await positionsIn(join(folder, "other"))).toEqual(upTo(all));
});

test("after a process that died in the middle of a line, the events come again on lines of their own", async () => {
  const config = toFile();
  const path = join(folder, "audit.jsonl");
  const before = await addEvents(2);
  await stream(config);
  const after = await addEvents(2);
  await appendFile(path, '{"type":"audit","position":"99'); // died before it was noted
  await stream(config);
  const readable = linesOf(await readFile(path, "utf8")).flatMap((line) => {
    try {
      return [Number(JSON.parse(line).position)];
    } catch {
      return [];
    }
  });
  expect(readable).toEqual(upTo(after));
  expect(before).toBeLessThan(after);
});

test("a receiver that refuses, dies or is slow loses nothing, and skips nothing", async () => {
  const taken: number[] = [];
  let asked = 0;
  const config = await startReceiver(async (request, response) => {
    const body = await text(request);
    asked += 1;
    if (request.headers.authorization !== "Bearer t0ken") return response.writeHead(401).end();
    if (asked % 3 === 1) return response.writeHead(503).end();
    if (asked % 3 === 2) return request.socket.destroy();
    taken.push(...linesOf(body).map((line) => Number(JSON.parse(line).position)));
    return response.writeHead(202).end();
  });
  const all = await addEvents(700);
  for (let tries = 0; taken.at(-1) !== all && tries < 20; tries++) await stream(config).catch(() => {});
  expect(taken).toEqual(upTo(all));
  // Taken, and the process died before it noted that: again, and then on.
  await database.db("audit_streams").update({ position: all - 5 });
  for (let tries = 0; tries < 4; tries++) await stream(config).catch(() => {});
  expect(taken.slice(all)).toEqual(upTo(all).slice(-5));
});

test("replicas that stream at once bring each event once", async () => {
  const all = await addEvents(1500);
  await Promise.all(["one", "two", "three"].map((holder) => stream(toFile(), holder)));
  await stream(toFile());
  expect(await positionsIn(join(folder, "audit.jsonl"))).toEqual(upTo(all));
});

test("while a daemon runs, what is sealed comes by itself, and what waits is measured", async () => {
  const config = toFile();
  const all = await addEvents(2);
  const running = startEventStream({ db: database.db, log, holder: "daemon" }, config);
  expect(await running.measure()).toBe(all);
  while ((await running.measure()) > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  await running.stop();
  expect(await positionsIn(join(folder, "audit.jsonl"))).toEqual(upTo(all));
});

test("positions that are gone, and an event that was deleted, have lines that say so; no detail breaks a line", () => {
  const seal = {
    eventId: "7",
    eventMac: Buffer.alloc(32),
    chainMac: Buffer.alloc(32),
    version: 2 as const,
    sealedAt: "",
  };
  const event = {
    id: "8",
    at: "2026-03-01T12:00:00.000000Z",
    actor: "a\u2028b",
    via: "cli",
    action: "unlock",
    userId: null,
    directory: null,
    outcome: "done",
    details: '{"x": "\\n\\u2029"}',
    requestId: null,
  };
  const lines = streamLines("3", [
    { seal: { ...seal, position: "6" }, event: undefined },
    { seal: { ...seal, position: "7" }, event },
  ]);
  expect(lines.split(/[\n\u2028\u2029]/)).toHaveLength(4);
  expect(linesOf(lines).map((line) => JSON.parse(line))).toMatchObject([
    { type: "audit-gap", firstPosition: "4", lastPosition: "5" },
    { type: "audit-missing", position: "6", id: "7" },
    { type: "audit", position: "7", actor: "a\u2028b", details: { x: "\n\u2029" } },
  ]);
});
