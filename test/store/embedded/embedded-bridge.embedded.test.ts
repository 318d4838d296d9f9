// The bridge with clients that share one database, on the wire and through pg.

import { once } from "node:events";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { connect, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PGlite } from "@electric-sql/pglite";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { memoryFolder } from "../../../scripts/servers/postgres.ts";
import { createBridge } from "../../../src/store/embedded/embedded-bridge.ts";
import { startEngine } from "../../../src/store/embedded/embedded-engine.ts";
import { encodeStartup } from "../../../src/store/embedded/wire-messages.ts";

const idleInTransactionMs = 300;

let folder: string;
let engine: PGlite;
let server: Server;
const lost: unknown[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(await memoryFolder(), "dirmfa-bridge-"));
  await cp(join(inject("embeddedTemplate"), "pgdata"), join(folder, "pgdata"), { recursive: true });
  engine = await PGlite.create(join(folder, "pgdata"));
  await engine.exec("create table notes (n integer primary key)");
  server = createBridge(await startEngine(engine), {
    limits: { batchBytes: 100_000, idleInTransactionMs, connections: 20 },
    onLost: (error) => lost.push(error),
  });
  await new Promise<void>((resolve) => server.listen(join(folder, ".s.PGSQL.5432"), resolve));
});

afterAll(async () => {
  server.close();
  await engine.close();
  await rm(folder, { recursive: true, force: true });
  expect(lost).toEqual([]);
});

async function client(): Promise<pg.Client> {
  const made = new pg.Client({ host: folder, user: "postgres", database: "postgres" });
  made.on("error", () => {});
  await made.connect();
  return made;
}

/** A client that sends bytes as a test likes, after a startup message when `greeted`. */
async function rawClient(greeted = true): Promise<{ socket: Socket; received: () => string }> {
  const socket = connect(join(folder, ".s.PGSQL.5432"));
  let received = "";
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
  });
  socket.on("error", () => {});
  await once(socket, "connect");
  if (greeted) {
    socket.write(encodeStartup("anyone", "anything"));
    await until(() => received.includes("server_version"));
    received = "";
  }
  return { socket, received: () => received };
}

async function until(condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 5_000; !condition(); await sleep(5)) {
    if (Date.now() > deadline) throw new Error("waited in vain");
  }
}

function message(type: string, ...parts: (string | number)[]): Buffer {
  const body = Buffer.concat(
    parts.map((part) => {
      if (typeof part === "string") return Buffer.from(`${part}\0`);
      const number = Buffer.alloc(2);
      number.writeInt16BE(part);
      return number;
    }),
  );
  const head = Buffer.alloc(5);
  head.write(type, "latin1");
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

const execute = Buffer.concat([
  message("B", "", "", 0, 0, 0),
  message("D", "P"),
  message("E", "", 0, 0),
  message("S"),
]);

test("a statement of one connection waits for the transaction of another, and sees nothing of it before its end", async () => {
  const [a, b] = [await client(), await client()];
  await a.query("begin");
  await a.query("insert into notes values (1)");
  const seen = b.query("select n from notes where n = 1");
  await sleep(20);
  await a.query("rollback");
  expect((await seen).rows).toEqual([]);
  await Promise.all([a.end(), b.end()]);
});

test("twenty transactions of several statements each never mix", async () => {
  const clients = await Promise.all(Array.from({ length: 10 }, client));
  const counts = clients.map(async (one, i) => {
    const seen: string[] = [];
    for (let round = 0; round < 2; round++) {
      await one.query("begin");
      await one.query("create temporary table mine (who integer) on commit drop");
      await one.query("insert into mine values ($1)", [i]);
      await sleep(1);
      seen.push((await one.query("select string_agg(who::text, ',') as who from mine")).rows[0].who);
      await one.query(round === 0 ? "commit" : "rollback");
    }
    return seen;
  });
  expect(await Promise.all(counts)).toEqual(clients.map((_, i) => [String(i), String(i)]));
  await Promise.all(clients.map((one) => one.end()));
});

test("a Parse whose Sync has not come holds nobody up and is not mixed into others' statements", async () => {
  const raw = await rawClient();
  raw.socket.write(message("P", "", "select 'mine' as x", 0));
  await sleep(20);
  const other = await client();
  expect((await other.query("select $1::text as x", ["other"])).rows).toEqual([{ x: "other" }]);
  raw.socket.write(execute);
  await until(() => raw.received().includes("mine"));
  raw.socket.destroy();
  await other.end();
});

test("two connections may name different prepared statements alike, and the name is free after a reconnect", async () => {
  const [a, b] = [await client(), await client()];
  expect((await a.query({ name: "same", text: "select 1 as x" })).rows).toEqual([{ x: 1 }]);
  expect((await b.query({ name: "same", text: "select 2 as x" })).rows).toEqual([{ x: 2 }]);
  expect((await a.query({ name: "same", text: "select 1 as x" })).rows).toEqual([{ x: 1 }]);
  await Promise.all([a.end(), b.end()]);
  const c = await client();
  await sleep(20);
  expect(
    (await c.query("select count(*)::integer as left from pg_prepared_statements where name <> ''")).rows,
  ).toEqual([{ left: 0 }]);
  await c.end();
});

test("an error in an extended statement gives one ReadyForQuery and leaves the connection usable", async () => {
  const raw = await rawClient();
  raw.socket.write(Buffer.concat([message("P", "", "select syntax error", 0), execute]));
  raw.socket.write(Buffer.concat([message("P", "", "select 'fine' as x", 0), execute]));
  await until(() => raw.received().includes("fine"));
  await sleep(20);
  expect(raw.received().split("Z\0\0\0\x05I")).toHaveLength(3);
  raw.socket.destroy();
});

test("a Flush is answered without a ReadyForQuery", async () => {
  const raw = await rawClient();
  raw.socket.write(Buffer.concat([message("P", "", "select syntax error", 0), message("H")]));
  await until(() => raw.received().includes("syntax"));
  expect(raw.received()).not.toContain("Z\0\0\0\x05");
  raw.socket.write(message("S"));
  await until(() => raw.received().endsWith("Z\0\0\0\x05I"));
  raw.socket.destroy();
});

test("the transaction of a connection that breaks is rolled back", async () => {
  const broken = await rawClient();
  broken.socket.write(message("Q", "begin; insert into notes values (2)"));
  await until(() => broken.received().endsWith("Z\0\0\0\x05T"));
  broken.socket.destroy();
  const other = await client();
  expect((await other.query("select n from notes where n = 2")).rows).toEqual([]);
  await other.end();
});

test.for([
  ["after a Flush and before the Sync that would have committed it", "insert into notes values (5)"],
  ["after an error in the middle of a batch", "insert into notes values (5, 5, 5)"],
])("a connection that breaks %s leaves nothing to the next one", async ([, sql]) => {
  const broken = await rawClient();
  broken.socket.write(Buffer.concat([message("P", "", sql ?? "", 0), execute.subarray(0, -5), message("H")]));
  await until(() => broken.received().length > 0);
  broken.socket.destroy();
  const other = await client();
  expect((await other.query("select n from notes where n = 5")).rows).toEqual([]);
  await other.end();
});

test("a transaction that waits too long for its client is rolled back, and the client is told", async () => {
  const slow = await client();
  const said = new Promise((resolve) => slow.once("error", resolve));
  await slow.query("begin");
  await slow.query("insert into notes values (3)");
  const other = await client();
  const asked = performance.now();
  expect((await other.query("select n from notes where n = 3")).rows).toEqual([]);
  expect(performance.now() - asked).toBeGreaterThan(idleInTransactionMs / 2);
  expect(await said).toMatchObject({ code: "25P03" });
  await other.end();
});

test("a connection that is idle outside a transaction stays", async () => {
  const idle = await client();
  await idle.query("select 1");
  await sleep(idleInTransactionMs + 100);
  expect((await idle.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  await idle.end();
});

test("requests for TLS and for GSS encryption are declined, and the conversation goes on unencrypted", async () => {
  for (const code of [80_877_103, 80_877_104]) {
    const raw = await rawClient(false);
    const request = Buffer.alloc(8);
    request.writeInt32BE(8);
    request.writeInt32BE(code, 4);
    raw.socket.write(request);
    await until(() => raw.received() === "N");
    raw.socket.write(encodeStartup("anyone", "anything"));
    await until(() => raw.received().includes("server_version"));
    raw.socket.destroy();
  }
});

test.for([
  ["a message type that no client has", message("z")],
  ["a password", message("p", "secret")],
  ["a function call", message("F", 0, 0)],
  ["a negative length", Buffer.from([0x51, 0xff, 0xff, 0xff, 0xff])],
  ["a message beyond the limit", Buffer.from([0x51, 0x7f, 0xff, 0xff, 0xff])],
  [
    "a batch beyond the limit",
    Buffer.concat(Array.from({ length: 12 }, () => message("P", "", "x".repeat(9_000), 0))),
  ],
  ["an HTTP request", Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")],
] as const)("a client that sends %s is told off and closed, and others go on", async ([, bytes]) => {
  const raw = await rawClient();
  const closed = once(raw.socket, "close");
  raw.socket.write(bytes);
  await closed;
  expect(raw.received()).toContain("FATAL");
  const other = await client();
  expect((await other.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  await other.end();
});

test.for([
  ["a startup of another protocol", Buffer.from([0, 0, 0, 9, 0, 9, 0, 0, 0])],
  ["a startup without end", Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0])],
  ["a request to cancel", Buffer.from([0, 0, 0, 16, 4, 0xd2, 0x16, 0x2e, 0, 0, 0, 1, 0, 0, 0, 1])],
] as const)("a connection that begins with %s is closed", async ([, bytes]) => {
  const raw = await rawClient(false);
  const closed = once(raw.socket, "close");
  raw.socket.write(bytes);
  await closed;
});

test("a message with rubbish inside is an error of that statement only", async () => {
  const raw = await rawClient();
  raw.socket.write(Buffer.concat([message("B", "no end"), message("S")]));
  await until(() => raw.received().endsWith("Z\0\0\0\x05I"));
  expect(raw.received()).toContain("08P01");
  raw.socket.destroy();
});

test("data of a COPY that never was is passed over", async () => {
  const raw = await rawClient();
  raw.socket.write(Buffer.concat([message("d", "x"), message("c"), message("Q", "select 'went on'")]));
  await until(() => raw.received().includes("went on"));
  raw.socket.destroy();
});
