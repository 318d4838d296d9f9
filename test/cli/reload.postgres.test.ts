// SIGHUP on the started program: the configuration is read again, taken over or refused whole, and nothing ends.

import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
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
  expect((await installation.run("key", "generate")).code).toBe(0);
  daemon = installation.start("serve");
  for (const stream of [daemon.stdout, daemon.stderr])
    stream.on("data", (chunk: Buffer) => {
      text += chunk;
    });
  await waitFor("dirmfa is ready");
  address = JSON.parse(text.split("\n").find((line) => line.includes("dirmfa is ready")) ?? "").address;
});
afterAll(async () => {
  await installation.remove();
  await database.close();
});

// biome-ignore lint/suspicious/noExplicitAny: a configuration of any shape
async function changeConfig(change: (config: any) => void): Promise<void> {
  const config = parse(await readFile(installation.configPath, "utf8"));
  change(config);
  await writeFile(installation.configPath, stringify(config));
}

const signIn = (token: string) => call(`${address}/v1/sign-in`, { token, body: { username: "ada" } });

test("callers, policy and log level are taken over", async () => {
  expect((await signIn(tokens.login)).json).toMatchObject({ decision: "allow" });
  expect(text).not.toContain('"debug"');
  await changeConfig((config) => {
    config.http.callers = [callerOf("new-login-service", tokens.every, ["login"])];
    config.mfa = { mode: "required" };
    config.log = { level: "debug" };
  });
  daemon.kill("SIGHUP");
  await waitFor("the configuration was taken over");
  expect((await signIn(tokens.login)).status).toBe(401);
  expect((await signIn(tokens.every)).json).toMatchObject({ decision: "enroll" });
  await waitFor("request");
  // The deadline of a requirement begins now, as it does at a start.
  const [event] = await database.db("audit_events").where({ action: "policy-change" }).orderBy("id", "desc");
  expect(event).toMatchObject({ via: "daemon", outcome: "done" });
});

test("a bad configuration is refused whole, with all its problems in the log", async () => {
  const good = await readFile(installation.configPath, "utf8");
  await changeConfig((config) => {
    config.http.callers = [];
    config.mfa = { mode: "sometimes" };
    config.directories[0].schedule = "never";
  });
  daemon.kill("SIGHUP");
  const [refused] = await waitFor("the configuration was not taken over; the one before stays in force");
  expect(refused?.level).toBe("error");
  expect(refused?.err?.message).toContain("mfa.mode");
  expect(refused?.err?.message).toContain("directories[0].schedule");
  expect((await signIn(tokens.every)).json).toMatchObject({ decision: "enroll" });
  await writeFile(installation.configPath, good);
});

test("what needs a restart is said, and the rest is taken over", async () => {
  await changeConfig((config) => {
    config.http.listen = "127.0.0.1:1";
    config.keys = { folder: "elsewhere" };
    config.mfa = { mode: "optional" };
  });
  daemon.kill("SIGHUP");
  await waitFor("the configuration was taken over", 2);
  const [waiting] = await waitFor("these changes of the configuration wait for a restart");
  expect(waiting?.keys).toEqual(["keys.folder", "audit.headFolder", "http.listen"]);
  expect((await signIn(tokens.every)).json).toMatchObject({ decision: "allow" });
});

test("a directory that is taken out is denied at once, and allowed again when it is back", async () => {
  const good = await readFile(installation.configPath, "utf8");
  await changeConfig((config) => {
    config.directories = [];
  });
  daemon.kill("SIGHUP");
  await waitFor("the configuration was taken over", 3);
  expect((await signIn(tokens.every)).json).toMatchObject({ decision: "deny" });
  await writeFile(installation.configPath, good);
  daemon.kill("SIGHUP");
  await waitFor("the configuration was taken over", 4);
  expect((await signIn(tokens.every)).json).toMatchObject({ decision: "allow" });
});

test("a schedule is taken over: it ticks, and ticks no more once it is taken out", async () => {
  const scheduled = async () => (await database.db("sync_runs").where({ trigger: "schedule" })).length;
  const taken = () => lines().filter(({ msg }) => msg === "the configuration was taken over").length;
  const reload = async (schedule: string) => {
    await changeConfig((config) => {
      config.directories[0].schedule = schedule;
    });
    const times = taken() + 1;
    daemon.kill("SIGHUP");
    await waitFor("the configuration was taken over", times);
  };
  expect(await scheduled()).toBe(0);
  await reload("* * * * * *");
  await expect.poll(scheduled, { timeout: 10_000 }).toBeGreaterThan(0);
  await reload("on-demand");
  const ticked = await scheduled();
  await new Promise((resolve) => setTimeout(resolve, 2_200)); // two ticks
  expect(await scheduled()).toBe(ticked);
});

test("requests that are asked all the while are answered, and many signals end nothing", async () => {
  let asking = true;
  const statuses: number[] = [];
  const asked = (async () => {
    while (asking) statuses.push((await signIn(tokens.every)).status);
  })();
  const before = lines().filter(({ msg }) => msg === "the configuration was taken over").length;
  for (let signal = 0; signal < 5; signal++) {
    daemon.kill("SIGHUP");
    await waitFor("the configuration was taken over", before + signal + 1);
  }
  asking = false;
  await asked;
  expect(new Set(statuses)).toEqual(new Set([200]));
});

test("SIGTERM still ends it well", async () => {
  daemon.kill("SIGTERM");
  const [code] = await once(daemon, "exit");
  expect(code).toBe(0);
});
