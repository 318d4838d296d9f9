// Webhooks: signed so that a receiver in another language can tell, sent to nobody else, and tried again (rule 32).

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from "vitest";
import { ensureServers } from "../../scripts/servers/install-servers.ts";
import { parseWebhookKey } from "../../src/config/webhook-key.ts";
import { deliverDue } from "../../src/notices/deliver-notices.ts";
import { signatureOf } from "../../src/notices/webhook.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";
import { authority, noticesConfigOf, noticesIn } from "./notices-world.ts";

const key = Buffer.alloc(32, 7);
let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
afterEach(async () => void (await database.db("notices").delete()));

function deliver(url: string, keySecret = key, caPem?: string) {
  const config = noticesConfigOf({ webhook: { url, keySecret, caPem } });
  const deps = { db: database.db, log: pino({ level: "silent" }), holder: "test" };
  return deliverDue(deps, config, { channel: "webhook", signal: new AbortController().signal });
}

const addNotice = () =>
  database
    .db("notices")
    .insert({ kind: "run-held", channel: "webhook", directory: "main", facts: { runId: "r-1" } });

async function startReceiver(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  // An address of TCP, as it listens on a port.
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
}

test("the signature is that of Standard Webhooks' own example", () => {
  const example = parseWebhookKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
  const message = {
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    timestamp: "1614265330",
    body: '{"test": 2432232314}',
  };
  expect(example && signatureOf(example, message)).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
});

test("a receiver in Python believes what dirmfa sends, once, and nothing that is signed otherwise, changed or old", async () => {
  const { python3 = "python3" } = await ensureServers(["python3"]);
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-webhook-"));
  const keyFile = join(folder, "key");
  await writeFile(keyFile, `${key.toString("base64")}\n`);
  const receiver = spawn(python3, [resolve(import.meta.dirname, "../../examples/notices/receiver.py"), "0"], {
    env: { ...process.env, WEBHOOK_KEY_FILE: keyFile },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(async () => {
    receiver.kill();
    await rm(folder, { recursive: true });
  });
  const lines = createInterface(receiver.stdout)[Symbol.asyncIterator]();
  const nextLine = async () => JSON.parse(String((await lines.next()).value));
  const [, port] = await nextLine();
  const url = `http://127.0.0.1:${port}/`;

  await addNotice();
  expect(await deliver(url, Buffer.alloc(32, 8))).toBe("done");
  expect(await noticesIn(database.db)).toMatchObject([
    { state: "waiting", last_error: "webhook: status 401" },
  ]);
  await database.db("notices").update({ next_attempt_at: "2020-01-01" });
  expect(await deliver(url)).toBe("done");
  expect(await nextLine()).toEqual(["run-held", { directory: "main", runId: "r-1" }]);

  const body = JSON.stringify({ type: "run-held", data: {} });
  const now = Math.floor(Date.now() / 1000);
  const send = async (changes: { id?: string; at?: number; body?: string }) => {
    const signed = { id: "one", timestamp: String(changes.at ?? now), body };
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "webhook-id": changes.id ?? "one",
        "webhook-timestamp": signed.timestamp,
        "webhook-signature": signatureOf(key, signed),
      },
      body: changes.body ?? body,
    });
    return response.status;
  };
  expect(await send({ id: "two" })).toBe(401);
  expect(await send({ body: `${body} ` })).toBe(401);
  expect(await send({ at: now - 3600 })).toBe(401);
  expect(await send({})).toBe(204);
});

test("a receiver with a certificate of another authority or for another name is sent nothing", async () => {
  let asked = 0;
  const { certPem, keyPem } = authority.issue({ names: ["localhost"] });
  const server = createTlsServer({ cert: certPem, key: keyPem }, (_request, response) => {
    asked += 1;
    response.end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  // An address of TCP, as it listens on a port.
  const { port } = server.address() as AddressInfo;
  await addNotice();
  for (const [host, caPem] of [
    ["localhost", undefined],
    ["127.0.0.1", authority.certPem],
  ] as const) {
    expect(await deliver(`https://${host}:${port}/`, key, caPem)).toBe("away");
    await database.db("notices").update({ next_attempt_at: "2020-01-01" });
  }
  expect(asked).toBe(0);
  expect(await deliver(`https://localhost:${port}/`, key, authority.certPem)).toBe("done");
  expect(await noticesIn(database.db)).toMatchObject([{ state: "delivered" }]);
});

test("a redirect is not followed, an error is tried again, and a receiver that is away ends the round", async () => {
  let asked = 0;
  const elsewhere = await startReceiver((_request, response) => {
    asked += 1;
    response.end();
  });
  const moved = await startReceiver((_request, response) =>
    response.writeHead(307, { location: elsewhere }).end(),
  );
  const broken = await startReceiver((_request, response) =>
    response.writeHead(500).end("x".repeat(1_000_000)),
  );
  const rude = await startReceiver((request) => request.socket.destroy());
  for (const [url, outcome, error] of [
    [moved, "done", "webhook: status 307"],
    [broken, "done", "webhook: status 500"],
    [rude, "away", "webhook: ECONNRESET"],
    ["http://127.0.0.1:1/", "away", "webhook: ECONNREFUSED"],
  ] as const) {
    await addNotice();
    expect(await deliver(url)).toBe(outcome);
    expect(await noticesIn(database.db)).toMatchObject([{ state: "waiting", last_error: error }]);
    await database.db("notices").delete();
  }
  expect(asked).toBe(0);
});
