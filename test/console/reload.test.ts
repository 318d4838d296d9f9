// What of console.* a reload takes over, and what a console over TLS does differently.

import { request } from "node:https";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createCertificateAuthority } from "../../scripts/servers/certificates.ts";
import type { Config, ConsoleConfig } from "../../src/config/config.ts";
import { keysForRestart, takenOver } from "../../src/take-over.ts";
import { type ConsoleWorld, openConsoleWorld } from "./console-world.ts";

const running: ConsoleConfig = {
  listen: { kind: "tcp", host: "127.0.0.1", port: 8422 },
  publicOrigin: undefined,
  tls: undefined,
  cookieSecure: false,
  roles: { admin: ["admins"], helpDesk: [], auditor: [] },
  session: { idleMs: 1, absoluteMs: 2 },
};
const configOf = (console: ConsoleConfig | undefined) =>
  ({ console, http: {}, database: {}, keys: {}, audit: {} }) as Config; // the parts that are looked at

test("roles count at once, also where another address waits for a restart", () => {
  const read = configOf({
    ...running,
    listen: { kind: "tcp", host: "127.0.0.1", port: 1 },
    roles: { admin: [], helpDesk: [], auditor: [] },
  });
  expect(keysForRestart(configOf(running), read)).toEqual(["console.listen"]);
  expect(takenOver(configOf(running), read).console).toEqual({ ...running, roles: read.console?.roles });
});

test("a console that was taken out of the file has no roles until the restart that ends it", () => {
  const next = takenOver(configOf(running), configOf(undefined)).console;
  expect(next?.roles).toEqual({ admin: [], helpDesk: [], auditor: [] });
  expect(takenOver(configOf(undefined), configOf(running)).console).toBeUndefined();
});

let world: ConsoleWorld;
const authority = createCertificateAuthority();
beforeAll(async () => {
  const { certPem, keyPem } = authority.issue({ names: ["127.0.0.1"] });
  const tls = { certPem, keyPemSecret: keyPem, clientCaPem: undefined };
  world = await openConsoleWorld({ console: { tls, cookieSecure: true } });
});
afterAll(() => world?.close());

test("over TLS the cookie is bound to the host, and browsers are told to stay with TLS", async () => {
  const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
    request(`${world.url}/sign-in`, { ca: authority.certPem }, (answer) => {
      answer.resume();
      resolve(answer.headers);
    })
      .on("error", reject)
      .end();
  });
  expect(String(headers["set-cookie"])).toMatch(
    /^__Host-dirmfa=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Secure$/,
  );
  expect(headers["strict-transport-security"]).toBe("max-age=31536000");
});
