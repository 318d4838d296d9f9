// Which keys of a configuration that was read again wait for a restart: each is named, and keeps its value until then.

import { expect, test } from "vitest";
import type { Config } from "../src/config/config.ts";
import { keysForRestart, takenOver } from "../src/take-over.ts";

const at = (port: number) => ({ kind: "tcp" as const, host: "127.0.0.1", port });
const tlsOf = (certPem: string, clientCaPem?: string) => ({ certPem, keyPemSecret: "key", clientCaPem });
const streamTo = (path: string) => ({ name: "siem", target: { kind: "file" as const, path } });
const roles = { admin: [], helpDesk: [], auditor: [] };

// The parts that are looked at.
const configOf = ({ http, console, ...changes }: Record<string, object>) =>
  ({
    database: { kind: "embedded", folder: "data" },
    keys: { folder: "keys" },
    audit: { headFolder: "keys", stream: streamTo("a.jsonl") },
    http: { listen: at(1), metricsListen: at(2), tls: tlsOf("old", "ca"), callers: [], ...http },
    console: { listen: at(3), tls: tlsOf("old"), cookieSecure: true, roles, ...console },
    ...changes,
  }) as unknown as Config;
const running = configOf({});

test.each<[string, Record<string, object>]>([
  ["database", { database: { kind: "embedded", folder: "elsewhere" } }],
  ["keys.folder", { keys: { folder: "elsewhere" } }],
  ["audit.headFolder", { audit: { headFolder: "elsewhere", stream: streamTo("a.jsonl") } }],
  ["audit.stream", { audit: { headFolder: "keys", stream: streamTo("b.jsonl") } }],
  ["http.listen", { http: { listen: at(9) } }],
  ["http.metricsListen", { http: { metricsListen: undefined } }],
  ["http.tls", { http: { tls: undefined } }],
  ["http.tls", { http: { tls: tlsOf("new", "another ca") } }],
  ["console.listen", { console: { listen: at(9) } }],
  ["console.tls", { console: { tls: undefined, cookieSecure: false } }],
])("%s waits for a restart", (key, changes) => {
  const read = configOf(changes);
  expect(keysForRestart(running, read)).toEqual([key]);
  expect(takenOver(running, read)).toEqual(running);
});

test("certificates, callers and the console's public address do not wait", () => {
  const read = configOf({
    http: { tls: tlsOf("new", "ca"), callers: [{ name: "new" }] },
    console: { tls: tlsOf("new"), publicOrigin: "https://mfa.example.org" },
  });
  expect(keysForRestart(running, read)).toEqual([]);
  expect(takenOver(running, read)).toEqual(read);
});
