// SIGHUP on the started program: the configuration is read again, taken over or refused whole, and nothing ends.

import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { parse, stringify } from "yaml";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";
import { call, callerOf, tokens } from "../support/http-server.ts";
import { createInstallation, type Installation } from "../support/installation.ts";

interface Line {
  msg: string;
  err?: { message: string };
  keys?: string[];
  level: string;
}

let database: TestDatabase;
let installation: Installation;
let daemon: ChildProcessByStdio<null, Readable, Readable>;
let address: string;
/** The configuration that the daemon was started with. */
let plain: string;
let text = "";
const lines = (): Line[] =>
  text
    .split("\n")
    .filter((line) => line.startsWith("{") && line.endsWith("}"))
    .map((line) => JSON.parse(line));

async function waitFor(phrase: string, times = 1): Promise<Line[]> {
  for (let left = 200; left > 0; left--) {
    const found = lines().filter(({ msg }) => msg === phrase);
    if (found.length >= times) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`no "${phrase}" in ${text}`);
}

beforeAll(async () => {
  database = await openTestDatabase();
  await database.db("users").insert({
    directory: "example",
    directory_id: "1",
    username: "ada",
    username_key: "ada",
    dn: "uid=ada",
    dn_key: "uid=ada",
    state: "active",
    entry_hash: "-",
    required_new_user: false,
  });
  installation = await createInstallation({
    slapd: undefined,
    database: database.config,
    config: {
      http: { listen: "127.0.0.1:0", callers: [callerOf("login-service", tokens.login, ["login"])] },
      log: { level: "info" },
      directories: [
        {
          name: "example",
          urls: ["ldap://127.0.0.1:1"],
          bind: "anonymous",
          users: { bases: ["dc=example"] },
          schedule: "on-demand",
        },
      ],
    },
  });
  plain = await readFile(installation.configPath, "utf8");
  expect((await installation.run("key", "generate")).code).toBe(0);
  await serve();
});
afterAll(async () => {
  await installation.remove();
  await database.close();
});

async function serve(): Promise<void> {
  await writeFile(installation.configPath, plain);
  text = "";
  daemon = installation.start("serve");
  for (const stream of [daemon.stdout, daemon.stderr])
    stream.on("data", (chunk: Buffer) => {
      text += chunk;
    });
  await waitFor("dirmfa is ready");
  address = JSON.parse(text.split("\n").find((line) => line.includes("dirmfa is ready")) ?? "").address;
}

// biome-ignore lint/suspicious/noExplicitAny: a configuration of any shape
type Change = (config: any) => void;

/** Writes the configuration of the start, with a change, and tells the daemon. */
async function send(change: Change): Promise<void> {
  const config = parse(plain);
  change(config);
  await writeFile(installation.configPath, stringify(config));
  daemon.kill("SIGHUP");
}

const taken = "the configuration was taken over";

async function reload(change: Change = () => {}): Promise<void> {
  const before = lines().filter(({ msg }) => msg === taken).length;
  await send(change);
  await waitFor(taken, before + 1);
}

const requireMfa: Change = (config) => {
  config.mfa = { mode: "required" };
};

const signIn = (token: string = tokens.login) =>
  call(`${address}/v1/sign-in`, { token, body: { username: "ada" } });

test("callers, policy and log level are taken over", async () => {
  await reload();
  expect((await signIn()).json).toMatchObject({ decision: "allow" });
  expect(text).not.toContain('"debug"');
  await reload((config) => {
    config.http.callers = [callerOf("new-login-service", tokens.every, ["login"])];
    requireMfa(config);
    config.log = { level: "debug" };
  });
  expect((await signIn()).status).toBe(401);
  expect((await signIn(tokens.every)).json).toMatchObject({ decision: "enroll" });
  await waitFor("request");
  // The deadline of a requirement begins now, as it does at a start.
  const [event] = await database.db("audit_events").where({ action: "policy-change" }).orderBy("id", "desc");
  expect(event).toMatchObject({ via: "daemon", outcome: "done" });
});

test("a bad configuration is refused whole, with all its problems in the log", async () => {
  await reload(requireMfa);
  await send((config) => {
    config.http.callers = [];
    config.mfa = { mode: "sometimes" };
    config.directories[0].schedule = "never";
  });
  const [refused] = await waitFor("the configuration was not taken over; the one before stays in force");
  expect(refused?.level).toBe("error");
  expect(refused?.err?.message).toContain("mfa.mode");
  expect(refused?.err?.message).toContain("directories[0].schedule");
  expect((await signIn()).json).toMatchObject({ decision: "enroll" });
});

test("what needs a restart is said, and the rest is taken over", async () => {
  await reload(requireMfa);
  await reload((config) => {
    config.http.listen = "127.0.0.1:1";
    config.keys = { folder: "elsewhere" };
    config.mfa = { mode: "optional" };
  });
  const [waiting] = await waitFor("these changes of the configuration wait for a restart");
  expect(waiting?.keys).toEqual(["keys.folder", "audit.headFolder", "http.listen"]);
  expect((await signIn()).json).toMatchObject({ decision: "allow" });
});

test("a directory that is taken out is denied at once, and allowed again when it is back", async () => {
  await reload((config) => {
    config.directories = [];
  });
  expect((await signIn()).json).toMatchObject({ decision: "deny" });
  await reload();
  expect((await signIn()).json).toMatchObject({ decision: "allow" });
});

test("a schedule is taken over: it ticks, and ticks no more once it is taken out", async () => {
  const scheduled = async () => (await database.db("sync_runs").where({ trigger: "schedule" })).length;
  expect(await scheduled()).toBe(0);
  await reload((config) => {
    Object.assign(config.directories[0], { schedule: "* * * * * *", jitter: "0s" });
  });
  await expect.poll(scheduled, { timeout: 10_000 }).toBeGreaterThan(0);
  await reload();
  const ticked = await scheduled();
  await new Promise((resolve) => setTimeout(resolve, 2_200)); // two ticks
  expect(await scheduled()).toBe(ticked);
});

test("requests that are asked all the while are answered, and many signals end nothing", async () => {
  await reload();
  let asking = true;
  const statuses: number[] = [];
  const asked = (async () => {
    while (asking) statuses.push((await signIn()).status);
  })();
  for (let signal = 0; signal < 5; signal++) await reload();
  asking = false;
  await asked;
  expect(new Set(statuses)).toEqual(new Set([200]));
});

test("SIGTERM still ends it well", async () => {
  await reload();
  onTestFinished(serve);
  daemon.kill("SIGTERM");
  const [code] = await once(daemon, "exit");
  expect(code).toBe(0);
});
