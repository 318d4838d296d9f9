// Sockets: Unix socket, TLS and client certificates, the metrics listener, and the end of a server.

import { once } from "node:events";
import { mkdtemp, rename, rm, stat, writeFile } from "node:fs/promises";
import { Agent, type RequestOptions, request } from "node:http";
import { request as requestTls } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { createCertificateAuthority } from "../../scripts/servers/certificates.ts";
import { call, startListeners, type TestListeners, tokens } from "../support/http-server.ts";

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function start(options: Parameters<typeof startListeners>[0]): Promise<TestListeners> {
  const listeners = await startListeners(options);
  ends.push(() => listeners.server.close());
  return listeners;
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-http-"));
  ends.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

interface RawAnswer {
  status: number | undefined;
  connection: string | undefined;
  text: string;
}

/** node's own client, which speaks to Unix sockets, presents certificates and keeps connections as told. */
function get(options: RequestOptions, ask: typeof request | typeof requestTls = request): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const sent = ask(options, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on("end", () =>
        resolve({ status: response.statusCode, connection: response.headers.connection, text }),
      );
    });
    sent.on("error", reject);
    sent.end();
  });
}

const unix = (path: string) => ({ config: { listen: { kind: "unix", path } as const } });

test("a Unix socket is for owner and group, answers, and is gone after the end", async () => {
  const path = join(await temporaryFolder(), "dirmfa.sock");
  const listeners = await start(unix(path));
  expect(listeners.url).toBe(`unix:${path}`);
  expect((await stat(path)).mode & 0o777).toBe(0o660);
  expect((await get({ socketPath: path, path: "/nowhere" })).status).toBe(404);
  await listeners.server.close();
  await expect(stat(path)).rejects.toThrow("ENOENT");
});

test("the socket file of a killed process gives way", async () => {
  const folder = await temporaryFolder();
  const path = join(folder, "dirmfa.sock");
  await leaveStaleSocket(path);
  await start(unix(path));
  expect((await get({ socketPath: path, path: "/nowhere" })).status).toBe(404);
});

/** A bound socket whose file is moved before the end, since node takes the file away that it made. */
async function leaveStaleSocket(path: string): Promise<void> {
  const dead = createServer().listen(`${path}.old`);
  await once(dead, "listening");
  await rename(`${path}.old`, path);
  dead.close();
  await once(dead, "close");
}

test("the socket of a running process stays, and the second process says so", async () => {
  const path = join(await temporaryFolder(), "dirmfa.sock");
  await start(unix(path));
  await expect(startListeners(unix(path))).rejects.toThrow(/running process/);
  expect((await get({ socketPath: path, path: "/nowhere" })).status).toBe(404);
});

test("a file that is no socket is never replaced", async () => {
  const path = join(await temporaryFolder(), "important.txt");
  await writeFile(path, "important");
  await expect(startListeners(unix(path))).rejects.toThrow(/not a socket/);
});

test("the end of a server leaves a socket that has taken its place", async () => {
  const path = join(await temporaryFolder(), "dirmfa.sock");
  const first = await start(unix(path));
  await rm(path);
  await start(unix(path));
  await first.server.close();
  expect((await get({ socketPath: path, path: "/nowhere" })).status).toBe(404);
});

test("a folder that is missing is an error at the start", async () => {
  const folder = await temporaryFolder();
  await expect(startListeners(unix(join(folder, "missing", "dirmfa.sock")))).rejects.toThrow("ENOENT");
});

test("TLS answers whoever trusts the authority, and plain HTTP not at all", async () => {
  const authority = createCertificateAuthority();
  const { certPem, keyPem } = authority.issue({ names: ["localhost", "127.0.0.1"] });
  const listeners = await start({
    config: { tls: { certPem, keyPemSecret: keyPem, clientCaPem: undefined } },
  });
  expect(listeners.url).toMatch(/^https:/);
  const port = new URL(listeners.url).port;
  const to = { host: "127.0.0.1", port, path: "/nowhere", agent: false as const };
  expect((await get({ ...to, ca: authority.certPem } as RequestOptions, requestTls)).status).toBe(404);
  await expect(get(to, requestTls)).rejects.toThrow(/certificate/);
  await expect(get(to, request)).rejects.toThrow();
});

test("with a client authority only callers with its certificate get as far as HTTP", async () => {
  const authority = createCertificateAuthority();
  const stranger = createCertificateAuthority("somebody else");
  const { certPem, keyPem } = authority.issue({ names: ["localhost", "127.0.0.1"] });
  const listeners = await start({
    config: { tls: { certPem, keyPemSecret: keyPem, clientCaPem: authority.certPem } },
  });
  const port = new URL(listeners.url).port;
  const to = { host: "127.0.0.1", port, path: "/nowhere", agent: false, ca: authority.certPem };
  const present = (of: typeof authority) => {
    const client = of.issue({ names: ["login-service"] });
    return { cert: client.certPem, key: client.keyPem };
  };
  expect((await get({ ...to, ...present(authority) } as RequestOptions, requestTls)).status).toBe(404);
  await expect(get(to as RequestOptions, requestTls)).rejects.toThrow();
  await expect(get({ ...to, ...present(stranger) } as RequestOptions, requestTls)).rejects.toThrow();
});

test("the metrics listener has metrics without a token, and nothing else", async () => {
  const listeners = await start({
    config: { metricsListen: { kind: "tcp", host: "127.0.0.1", port: 0 } },
    addRoutes: (app) => void app.get("/open", { config: { scope: "open" } }, async () => ({})),
  });
  await call(`${listeners.url}/open`);
  await call(`${listeners.url}/secret-address`);
  const metrics = await call(`${listeners.metricsUrl}/metrics`);
  expect(metrics.status).toBe(200);
  expect(metrics.text).toMatch(
    /dirmfa_http_request_duration_seconds_count\{method="GET",route="\/open",status="200"\} 1/,
  );
  expect(metrics.text).not.toContain("secret-address");
  expect((await call(`${listeners.metricsUrl}/open`)).status).toBe(404);
  expect((await call(`${listeners.metricsUrl}/metrics`, { method: "POST" })).status).toBe(404);
});

/** A route that answers when the test says so. */
function gate() {
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
  return { opened, open, entered, enter };
}

test("the end waits for running requests, tells them to close, and takes no new ones", async () => {
  const { opened, open, entered, enter } = gate();
  const listeners = await start({
    addRoutes: (app) =>
      void app.get("/slow", { config: { scope: "login" } }, async () => {
        enter();
        await opened;
        return { done: true };
      }),
  });
  const { port } = new URL(listeners.url);
  const agent = new Agent({ keepAlive: true });
  const headers = { authorization: `Bearer ${tokens.login}` };
  const running = get({ host: "127.0.0.1", port, path: "/slow", agent, headers });
  await entered;
  let closed = false;
  const closing = listeners.server.close().then(() => {
    closed = true;
  });
  await expect(get({ host: "127.0.0.1", port, path: "/slow", agent: false, headers })).rejects.toThrow(
    "ECONNREFUSED",
  );
  expect(closed).toBe(false);
  open();
  expect(await running).toEqual({ status: 200, connection: "close", text: '{"done":true}' });
  await closing;
  agent.destroy();
});

test("the end does not wait longer than the deadline, nor for idle connections", async () => {
  const listeners = await start({
    limits: { drainMs: 300 },
    addRoutes: (app) => void app.get("/never", { config: { scope: "open" } }, () => new Promise(() => {})),
  });
  const { port } = new URL(listeners.url);
  const agent = new Agent({ keepAlive: true });
  await get({ host: "127.0.0.1", port, path: "/nowhere", agent });
  const cut = expect(get({ host: "127.0.0.1", port, path: "/never", agent: false })).rejects.toThrow();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const startedMs = Date.now();
  await listeners.server.close();
  expect(Date.now() - startedMs).toBeLessThan(2_000);
  await cut;
  agent.destroy();
});

test("a port that is taken is an error at the start", async () => {
  const listeners = await start({});
  const port = Number(new URL(listeners.url).port);
  await expect(
    startListeners({ config: { listen: { kind: "tcp", host: "127.0.0.1", port } } }),
  ).rejects.toThrow("EADDRINUSE");
});
