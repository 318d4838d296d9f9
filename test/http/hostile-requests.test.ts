// What no caller should ever send: every answer is a problem, none is a 5xx, nothing hangs, nothing is echoed.

import fc from "fast-check";
import Type from "typebox";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Closed, Line } from "../../src/http/schemas.ts";
import { call, sendBytes, startListeners, type TestListeners, tokens } from "../support/http-server.ts";

let listeners: TestListeners;
let url: string;

const addRoutes: Parameters<typeof startListeners>[0]["addRoutes"] = (app) => {
  app.post(
    "/echo",
    {
      schema: {
        body: Closed({ name: Line(20), flag: Type.Optional(Type.Boolean()) }),
        response: { 200: Closed({ name: Type.String() }) },
      },
      config: { scope: "login" },
    },
    // More than the answer's schema knows.
    async ({ body }) => Object.assign({ name: body.name }, { secret: "must not leave" }),
  );
  app.get("/things/:id", { config: { scope: "login" } }, async () => ({}));
};

beforeAll(async () => {
  listeners = await startListeners({ addRoutes });
  url = `${listeners.url}/echo`;
});
afterAll(() => listeners.server.close());

const send = (rawBody: string | Uint8Array, headers: Record<string, string> = {}) =>
  call(url, { token: tokens.login, rawBody, headers });

test("a good request is answered, without fields that the answer's schema does not know", async () => {
  const answer = await send('{"name":"ada"}');
  expect(answer.status).toBe(200);
  expect(answer.text).toBe('{"name":"ada"}');
  expect(answer.headers.get("cache-control")).toBe("no-store");
});

test.each([
  ["no JSON", "hello"],
  ["half of it", '{"name":"ada"'],
  ["two of it", '{"name":"ada"}{}'],
  ["an array", '["name"]'],
  ["null", "null"],
  ["a number", "1"],
  ["the wrong type", '{"name":7}'],
  ["a number for a boolean", '{"name":"ada","flag":1}'],
  ["text for a boolean", '{"name":"ada","flag":"true"}'],
  ["a missing field", "{}"],
  ["an empty field", '{"name":""}'],
  ["a field too long", `{"name":"${"x".repeat(21)}"}`],
  ["an unknown field", '{"name":"ada","nome":"x"}'],
  ["the same field twice", '{"name":"ada","name":"bob"}'],
  ["the same field twice, once escaped", '{"name":"ada","n\\u0061me":"bob"}'],
  ["a prototype", '{"name":"ada","__proto__":{"flag":true}}'],
  ["a constructor", '{"name":"ada","constructor":{"prototype":{"flag":true}}}'],
  ["a nul in a field", '{"name":"a\\u0000b"}'],
  ["a line break in a field", '{"name":"a\\nb"}'],
  ["ten thousand arrays deep", `${"[".repeat(8000)}${"]".repeat(8000)}`],
  ["ten thousand objects deep", `{"name":${'{"a":'.repeat(2500)}1${"}".repeat(2500)}}`],
])("a body with %s is refused as invalid-request", async (_, body) => {
  const answer = await send(body);
  expect(answer.status).toBe(400);
  expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
  expect(answer.json).toMatchObject({
    code: "invalid-request",
    status: 400,
    type: "urn:dirmfa:problem:invalid-request",
  });
});

test("the refusal names the field and never its value or an unknown field's name", async () => {
  const wrong = await send('{"name":"hunter2hunter2hunter2hunter2"}');
  expect(wrong.json).toMatchObject({ field: "name" });
  expect(wrong.text).not.toContain("hunter2");
  const unknown = await send('{"name":"ada","ABCDEFGH1234":"hunter2"}');
  expect(unknown.text).not.toMatch(/hunter2|ABCDEFGH/);
});

test("a body that is not UTF-8 is refused", async () => {
  for (const bytes of [
    Buffer.from('{"name":"\xff"}', "latin1"),
    Buffer.from('{"name":"ada"}', "utf16le"),
    Buffer.from([0xed, 0xa0, 0x80]),
    Buffer.from([0x1f, 0x8b, 0x08, 0x00]),
  ]) {
    expect((await send(bytes)).status).toBe(400);
  }
  expect((await send("{}", { "content-type": "application/json; charset=utf-7" })).status).toBe(400);
});

test("a body that is too large is refused before it is read", async () => {
  const answer = await send(`{"name":"${"x".repeat(20_000)}"}`);
  expect(answer.status).toBe(413);
  expect(answer.json).toMatchObject({ code: "request-too-large" });
  const chunked = await sendBytes(
    listeners.url,
    `POST /echo HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${tokens.login}\r\ncontent-type: application/json\r\n` +
      `transfer-encoding: chunked\r\n\r\n5000\r\n${"x".repeat(0x5000)}\r\n`,
    3_000,
  );
  expect(chunked).toMatch(/^HTTP\/1\.1 413/);
});

test.each([
  "text/plain",
  "application/x-www-form-urlencoded",
  "multipart/form-data",
  "application/xml",
  "",
  ";;",
  "a/b/c",
])("the content type %j is refused", async (type) => {
  const answer = await send('{"name":"ada"}', { "content-type": type });
  expect(answer.status).toBe(415);
  expect(answer.json).toMatchObject({ code: "unsupported-media-type" });
});

test("an unknown address is 404, and another method is 405 that names the right one", async () => {
  const missing = await call(`${listeners.url}/v1/nothing?token=x`);
  expect(missing.status).toBe(404);
  expect(missing.json).toMatchObject({ code: "not-found" });
  const method = await call(url, { method: "DELETE", token: tokens.login });
  expect(method.status).toBe(405);
  expect(method.headers.get("allow")).toBe("POST");
  expect(method.json).toMatchObject({ code: "method-not-allowed" });
});

test.each([
  "/%",
  "/%zz",
  "/things/%00",
  `/things/${"x".repeat(500)}`,
  "/things/..%2f..%2fetc",
  "//",
  "/things/%c0%ae",
  "/echo?%",
])("the address %s is refused and nothing else happens", async (path) => {
  const bytes = `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`;
  expect(await sendBytes(listeners.url, bytes, 3_000)).toMatch(/^HTTP\/1\.1 4\d\d/);
});

test.each([
  ["no HTTP at all", "hello\r\n\r\n"],
  ["a TLS greeting", Buffer.from("160301020001000001fc0303", "hex")],
  ["two lengths", "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}"],
  [
    "length and chunks",
    "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
  ],
  ["a header without end", `GET / HTTP/1.1\r\nhost: x\r\nx: ${"a".repeat(20_000)}`],
  ["a nul in a header", "GET / HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n"],
  ["a folded header", "GET / HTTP/1.1\r\nhost: x\r\nx: a\r\n b\r\n\r\n"],
  ["no host", "GET / HTTP/1.1\r\n\r\n"],
])("%s is answered with 4xx and the end of the connection", async (_, bytes) => {
  const startedMs = Date.now();
  const answer = await sendBytes(listeners.url, bytes, 5_000);
  expect(answer).toMatch(/^HTTP\/1\.1 4\d\d/);
  expect(Date.now() - startedMs).toBeLessThan(4_000);
});

test("headers that are too large are 431, as a problem", async () => {
  const many = `x: ${"a".repeat(12_000)}\r\n`;
  const answer = await sendBytes(listeners.url, `GET / HTTP/1.1\r\nhost: x\r\n${many}\r\n`, 3_000);
  expect(answer).toMatch(/^HTTP\/1\.1 431/);
  expect(answer).toContain('"code":"headers-too-large"');
});

test("a request that never ends is cut off", async () => {
  const head = "POST /echo HTTP/1.1\r\nhost: x\r\n";
  const whole = `${head}authorization: Bearer ${tokens.login}\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{`;
  const impatient = await startListeners({ limits: { headersMs: 300, requestMs: 600 }, addRoutes });
  try {
    const startedMs = Date.now();
    const answers = await Promise.all([head, whole].map((bytes) => sendBytes(impatient.url, bytes, 10_000)));
    for (const answer of answers) {
      expect(answer).toMatch(/^HTTP\/1\.1 408/);
      expect(answer).toContain('"code":"request-timeout"');
    }
    expect(Date.now() - startedMs).toBeLessThan(4_000);
  } finally {
    await impatient.server.close();
  }
});

test("a clean request id is taken over, any other is replaced", async () => {
  const taken = await call(url, { headers: { "x-request-id": "trace-0123456789" } });
  expect(taken.headers.get("x-request-id")).toBe("trace-0123456789");
  expect(taken.json).toMatchObject({ requestId: "trace-0123456789" });
  for (const dirty of ["short", "x".repeat(65), "with space here", '{"json":1}', "<jndi>:evil"]) {
    const replaced = await call(url, { headers: { "x-request-id": dirty } });
    expect(replaced.headers.get("x-request-id")).toMatch(/^[\w-]{16}$/);
    expect(replaced.text).not.toContain(dirty);
  }
});

test("whatever the body, the answer is 200 or 400", async () => {
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc.json().map((text) => Buffer.from(text)),
    fc
      .record({ name: fc.string({ unit: "binary", maxLength: 30 }) })
      .map((value) => Buffer.from(JSON.stringify(value))),
  );
  await fc.assert(
    fc.asyncProperty(body, async (bytes) => {
      expect([200, 400]).toContain((await send(bytes)).status);
    }),
    { numRuns: 300 },
  );
});

test("nothing of what was sent is in the log, at its most verbose level", () => {
  const log = listeners.lines.join("");
  for (const secret of [...Object.values(tokens), "ada", "hunter2", "bob", "token=x", "jndi"]) {
    expect(log).not.toContain(secret);
  }
  expect(log).not.toContain('"level":"error"');
});
