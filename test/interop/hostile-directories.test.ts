// A daemon whose directories are all hostile: their runs fail within their limits of time and memory, each for its own
// reason, while the daemon goes on answering.

import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";
import {
  entry,
  type FakeLdapServer,
  type FakeScript,
  fakeBase,
  message,
  reference,
  result,
  scriptFor,
  startFakeLdapServer,
  tlv,
  userEntry,
  uuidOf,
} from "../support/fake-ldap-server.ts";
import { watchHealth } from "../support/health-watch.ts";
import { createInstallation, type Installation } from "../support/installation.ts";

const megabyte = 1024 * 1024;

interface Hostile {
  script: FakeScript;
  /** Code of the failed run, or of a run that went well. */
  outcome: string;
  limits?: object;
  /** Set for what never ends by itself; the others take as long as a busy machine needs. */
  timeouts?: { listing?: string; idle?: string };
}

// The least that can be configured.
const endless = { listing: "10s" };

const directories: Record<string, Hostile> = {
  "entries-without-end": {
    script: ({ id }, socket) =>
      endlessly(
        socket,
        blockOf((row) => userEntry(id, row)),
      ),
    outcome: "directory-timeout",
    timeouts: endless,
  },
  "references-without-end": {
    script: ({ id }, socket) =>
      endlessly(
        socket,
        blockOf((row) => reference(id, `ldap://${row}.invalid/`)),
      ),
    outcome: "directory-timeout",
    timeouts: endless,
  },
  "pages-without-end": {
    script: ({ id }) => [userEntry(id, id), result(id, 0, { cookie: "again" })],
    outcome: "directory-timeout",
    timeouts: endless,
  },
  "empty-pages-without-end": {
    script: ({ id }) => [result(id, 0, { cookie: "again" })],
    outcome: "directory-protocol-error",
  },
  "ranges-without-end": {
    script: ({ id, attributes }) => {
      if (!attributes.includes("member")) return [result(id, 0, { cookie: "" })];
      const group = { entryUUID: [uuidOf(9)], cn: ["staff"], "member;range=0-2": ["uid=a,dc=x"] };
      return [entry(id, `cn=staff,${fakeBase}`, group), result(id, 0, { cookie: "" })];
    },
    outcome: "directory-timeout",
    timeouts: endless,
  },
  "value-of-50-mb": {
    script: ({ id }) => [userEntry(id, 1, { mail: [Buffer.alloc(50 * megabyte, "x")] }), result(id, 0)],
    outcome: "directory-message-too-large",
  },
  "value-of-50-mb-that-is-allowed": {
    script: ({ id }) => [userEntry(id, 1, { mail: [Buffer.alloc(50 * megabyte, "x")] }), result(id, 0)],
    outcome: "succeeded", // the value is left out, and said to be
    limits: { messageBytes: 64 * megabyte },
  },
  "length-of-two-gigabytes": {
    script: () => Buffer.from("30847fffffff020102", "hex"),
    outcome: "directory-message-too-large",
  },
  "nesting-a-thousand-deep": {
    script: ({ id }) => message(id, nested(1000)),
    outcome: "directory-protocol-error",
  },
  "half-a-message-and-silence": {
    script: ({ id }) => userEntry(id, 1).subarray(0, 20),
    outcome: "directory-timeout",
    timeouts: { idle: "3s" },
  },
};

const rangeScript: FakeScript = ({ id, base, attributes: [asked = ""] }) => {
  const from = /range=(\d+)-\*/.exec(asked)?.[1];
  if (from === undefined) return undefined;
  const name = `member;range=${from}-${Number(from) + 2}`;
  return [entry(id, base, { [name]: ["uid=a,dc=x", "uid=b,dc=x", "uid=c,dc=x"] }), result(id, 0)];
};

let servers: FakeLdapServer[];
let database: TestDatabase;
let installation: Installation;
beforeAll(async () => {
  database = await openTestDatabase();
  servers = await Promise.all(
    Object.values(directories).map(({ script }) => startFakeLdapServer(scriptFor(script, rangeScript))),
  );
  const password = { dn: "cn=reader,dc=fake", password: `\${LDAP_PASSWORD}` };
  process.env.LDAP_PASSWORD = "correct horse";
  installation = await createInstallation({
    slapd: undefined,
    database: database.config,
    config: {
      directories: Object.entries(directories).map(([name, { limits = {}, timeouts = {} }], index) => ({
        name,
        kind: "openldap",
        urls: [servers[index]?.url],
        bind: password,
        users: { bases: [fakeBase] },
        groups: { bases: [fakeBase] },
        schedule: "0 0 1 1 *", // once at the start, since none has run before
        limits,
        timeouts: { listing: "5m", idle: "1m", connect: "1m", ...timeouts },
      })),
    },
  });
});
afterAll(async () => {
  await installation.remove();
  await Promise.all(servers.map((server) => server.stop()));
  await database.close();
});

test("every run ends within its limits, and the daemon answers all the while", async () => {
  await installation.run("key", "generate");
  const daemon = await installation.serve();
  const watch = await watchHealth(daemon.address);
  for (let left = 600; left > 0 && (await runsWith("running")) + (await runsWith()) > 0; left -= 1) {
    await sleep(100);
  }
  const health = await watch.stop();
  const runs = await database.db("sync_runs").select("directory", "status", "error_code");
  const outcomes = Object.fromEntries(
    runs.map((run) => [run.directory, run.status === "succeeded" ? run.status : run.error_code]),
  );
  const expected = Object.entries(directories).map(([name, { outcome }]) => [name, outcome]);
  expect(outcomes).toEqual(Object.fromEntries(expected));
  expect(daemon.process.exitCode).toBeNull();
  expect(health.failures).toEqual([]);
  expect(health.answers).toBeGreaterThan(10);
  expect(health.slowestMs).toBeLessThan(3_000); // ten floods at once share two cores with this test
  const peakMb =
    Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${daemon.process.pid}/status`, "utf8"))?.[1]) / 1024;
  console.log(
    `slowest of ${health.answers} answers ${Math.round(health.slowestMs)} ms, peak memory ${Math.round(peakMb)} MiB`,
  );
  expect(peakMb).toBeLessThan(1_500); // ten listings at once, two of them with a message of 50 MB
  // An optional value that is too large is left out, and its entry used.
  expect(await database.db("users").select("directory", "email")).toEqual([
    { directory: "value-of-50-mb-that-is-allowed", email: null },
  ]);
}, 180_000);

/** Runs with the status; without one, directories that have no run yet. */
async function runsWith(status?: string): Promise<number> {
  const runs = await database.db("sync_runs").select("status");
  if (status === undefined) return Object.keys(directories).length - runs.length;
  return runs.filter((run) => run.status === status).length;
}

function nested(depth: number): Buffer {
  let inner: Buffer = Buffer.alloc(0);
  for (let level = 0; level < depth; level += 1) inner = tlv(0x64, inner);
  return inner;
}

function blockOf(part: (row: number) => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: 500 }, (_, row) => part(row)));
}

/** Sends the block again and again, as fast as the other side takes it. */
function endlessly(socket: Socket, block: Buffer): undefined {
  const send = () => {
    if (socket.destroyed) return;
    if (socket.write(block)) setImmediate(send);
    else socket.once("drain", send);
  };
  send();
}
