// A daemon that was started as an admin starts it tells of an audit chain that is not the one it has seen: in the log and in the
// metrics, until somebody accepts it, and to admins in a notice (rules 24 and 32).

import { once } from "node:events";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runStatement } from "../../scripts/servers/postgres.ts";
import { runCommand } from "../support/command.ts";
import { createTestDatabase } from "../support/databases.ts";
import { call, sha256Of, tokens } from "../support/http-server.ts";
import { createInstallation, type Installation } from "../support/installation.ts";

let installation: Installation;
let drop: () => Promise<void>;
let url: string;
beforeEach(async () => {
  const created = await createTestDatabase();
  drop = created.drop;
  if (created.config.kind !== "postgres") throw new Error("not a PostgreSQL server");
  url = created.config.url;
  installation = await createInstallation({
    slapd: undefined,
    database: created.config,
    config: {
      keys: { folder: "keys" },
      directories: [],
      http: {
        listen: "127.0.0.1:0",
        callers: [{ name: "prometheus", tokenSha256: sha256Of(tokens.metrics), scopes: ["metrics"] }],
      },
    },
  });
  await dirmfa("key", "generate");
});
afterEach(async () => {
  await installation.remove();
  await drop();
});

const dirmfa = (...args: string[]) => runCommand("--config", installation.configPath, ...args);

/** Waits until the metric has this value. */
async function brokenIs(value: number, address: string): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    const { text } = await call(`${address}/metrics`, { token: tokens.metrics });
    if (text.includes(`\ndirmfa_audit_chain_broken ${value}\n`)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`dirmfa_audit_chain_broken is never ${value}`);
}

test("an end that was cut off between two starts is in the log and the metrics, and gone once it is accepted", async () => {
  const first = await installation.serve();
  const isNoted = async () => (await dirmfa("check")).stdout.includes("the end noted");
  for (let tries = 0; tries < 50 && !(await isNoted()); tries++)
    await new Promise((resolve) => setTimeout(resolve, 100));
  first.process.kill("SIGTERM");
  await once(first.process, "exit");
  expect((await dirmfa("check")).stdout).toMatch(/^ok +audit\.headFolder: \S+, the end noted at \d{4}-/m);
  await runStatement(
    url,
    "set session_replication_role = replica; delete from audit_seals; delete from audit_events",
  );

  const second = await installation.serve();
  let logged = "";
  second.process.stdout?.on("data", (chunk: Buffer) => {
    logged += chunk;
  });
  await brokenIs(1, second.address);
  expect(logged).toContain("the audit chain is broken; nothing is sealed until someone looks");
  expect(logged).toContain("dirmfa audit accept");
  expect((await dirmfa("audit", "verify")).code).toBe(1);
  const { notices } = JSON.parse((await dirmfa("notice", "list", "--json")).stdout);
  const told = notices.map(({ kind, channel }: Record<string, string>) => `${kind} ${channel}`);
  // Once through each channel, though each round finds it.
  expect(told.toSorted()).toEqual(["audit-chain-broken mail", "audit-chain-broken webhook"]);

  expect((await dirmfa("audit", "accept", "--reason", "a test")).code).toBe(0);
  await brokenIs(0, second.address);
});
