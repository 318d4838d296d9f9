// The client against servers that misbehave: nothing but a right answer may resolve. Against dirmfa itself it is tested
// in test/http/login-routes.test.ts.

import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { type Client, createClient, DirmfaClientError } from "../../src/client/client.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function clientOf(answer: RequestListener, timeoutMs = 500): Promise<Client> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  // An address of TCP, as it listens on a port.
  const { port } = server.address() as AddressInfo;
  return createClient({ baseUrl: `http://127.0.0.1:${port}/`, token: "secret-token", timeoutMs });
}

const json =
  (status: number, body: unknown, headers = {}): RequestListener =>
  (_request, response) =>
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));

const user = { id: "1", username: "ada", displayName: null, email: null, directory: "main", groups: [] };
const allow = {
  decision: "allow",
  reasons: ["not-required"],
  user,
  methods: [],
  backupCodesRemaining: 0,
  lockedUntil: null,
  enrollment: null,
};

const name = { username: "ada" };
const codeOf = (answer: Promise<unknown>) =>
  answer.then(
    () => "resolved",
    (error: unknown) => (error instanceof DirmfaClientError ? error.code : error),
  );

test("a right answer resolves, and token and body arrive", async () => {
  let seen: unknown;
  const client = await clientOf((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      seen = {
        url: request.url,
        token: request.headers.authorization,
        id: request.headers["x-request-id"],
        body,
      };
      json(200, allow)(request, response);
    });
  });
  expect(await client.signIn(name, { requestId: "known-request-id" })).toEqual(allow);
  expect(seen).toEqual({
    url: "/v1/sign-in",
    token: "Bearer secret-token",
    id: "known-request-id",
    body: '{"username":"ada"}',
  });
});

test.each([
  [
    "an error page",
    (_: unknown, response: Parameters<RequestListener>[1]) => response.end("<html>OK</html>"),
  ],
  ["an empty 200", json(200, undefined)],
  ["null", json(200, null)],
  ["true", json(200, true)],
  ["an array", json(200, [allow])],
  ["an unknown decision", json(200, { ...allow, decision: "yes" })],
  ["a decision that is no text", json(200, { ...allow, decision: ["allow"] })],
  ["allow for nobody", json(200, { ...allow, user: null })],
  ["201 instead of 200", json(201, allow)],
  ["a refusal with status 200", json(200, { code: "code-rejected", status: 403 })],
  ["a 500 with the right body", json(500, allow)],
  ["a 404 of something else", json(404, { error: "Not Found" })],
])("sign-in answered with %s is an unexpected answer", async (_, answer) => {
  const client = await clientOf(answer);
  expect(await codeOf(client.signIn(name))).toBe("unexpected-answer");
});

test.each([
  ["verified: false", { verified: false, method: "totp", user, backupCodesRemaining: 1 }],
  ['verified: "true"', { verified: "true", method: "totp", user, backupCodesRemaining: 1 }],
  ["verified for nobody", { verified: true, method: "totp", user: null, backupCodesRemaining: 1 }],
  ["nothing", {}],
])("verify answered with %s is an unexpected answer", async (_, body) => {
  const client = await clientOf(json(200, body));
  expect(await codeOf(client.verify({ ...name, totp: "123456" }))).toBe("unexpected-answer");
});

test("a redirect is not followed, since it would carry token and code away", async () => {
  let others = 0;
  const client = await clientOf((request, response) => {
    if (request.url !== "/v1/sign-in") others++;
    response.writeHead(307, { location: "/elsewhere" }).end();
  });
  expect(await codeOf(client.signIn(name))).toBe("network");
  expect(others).toBe(0);
});

test("a problem is an error with its code, its times and no text of the request", async () => {
  const lockedUntil = "2026-01-01T00:05:00.000Z";
  const client = await clientOf(
    json(
      429,
      { code: "locked-out", status: 429, lockedUntil },
      { "retry-after": "300", "x-request-id": "abc" },
    ),
  );
  const error = await client.verify({ ...name, totp: "123456" }).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    code: "locked-out",
    status: 429,
    retryAfterSeconds: 300,
    lockedUntil: new Date(lockedUntil),
    requestId: "abc",
  });
  expect(String(error)).not.toMatch(/ada|123456|secret-token/);
});

test("a server that never answers, or never ends its answer, is a timeout", async () => {
  const silent = await clientOf(() => {});
  expect(await codeOf(silent.signIn(name))).toBe("timeout");
  const endless = await clientOf((_, response) => void response.writeHead(200).write('{"decision":"allow"'));
  expect(await codeOf(endless.signIn(name))).toBe("timeout");
});

test("a connection refused, cut, or cut in the middle of an answer is a network error", async () => {
  const refused = createClient({ baseUrl: "http://127.0.0.1:1", token: "x" });
  expect(await codeOf(refused.signIn(name))).toBe("network");
  const cut = await clientOf((request) => request.socket.destroy());
  expect(await codeOf(cut.signIn(name))).toBe("network");
  const half = await clientOf((request, response) => {
    response.writeHead(200, { "content-length": "500" }).write(JSON.stringify(allow));
    setTimeout(() => request.socket.destroy(), 20);
  });
  expect(await codeOf(half.signIn(name))).toBe("network");
  const nowhere = createClient({ baseUrl: "unix:/nowhere/dirmfa.sock", token: "x" });
  expect(await codeOf(nowhere.signIn(name))).toBe("network");
});

test("the caller's own signal ends the call with its own reason", async () => {
  const client = await clientOf(() => {});
  const reason = new Error("user went away");
  await expect(client.signIn(name, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});

test("no answer but one of the API's resolves", async () => {
  let next: unknown = null;
  const client = await clientOf((request, response) => json(200, next)(request, response));
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), async (body) => {
      next = body;
      expect(await codeOf(client.signIn(name))).toBe("unexpected-answer");
      expect(await codeOf(client.verify({ ...name, totp: "123456" }))).toBe("unexpected-answer");
      expect(await codeOf(client.disableMfa({ ...name, totp: "123456" }))).toBe("unexpected-answer");
    }),
    { numRuns: 100 },
  );
});
