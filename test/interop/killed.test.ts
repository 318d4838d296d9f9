// dirmfa killed while a code is being verified, asked by radclient, sshd and sudo: nobody gets in, and when dirmfa is back the next
// code is good.

import { createHash } from "node:crypto";
import { once } from "node:events";
import knex from "knex";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Freeradius, startFreeradius } from "../../scripts/servers/freeradius.ts";
import { freePort } from "../../scripts/servers/ports.ts";
import { startSlapd } from "../../scripts/servers/slapd.ts";
import { createClient } from "../../src/client/client.ts";
import { password, personLdif, succeeds } from "../e2e/login-service-world.ts";
import { createTestDatabase } from "../support/databases.ts";
import { tokens } from "../support/http-server.ts";
import { createInstallation, type Installation } from "../support/installation.ts";
import { noteSecret, noteToken } from "../support/kept-logs.ts";
import { type PamMachine, startPamMachine } from "../support/pam-machine.ts";
import { type Phone, phoneWith } from "../support/phone.ts";

const ways = ["radclient", "ssh", "sudo"] as const;
type Way = (typeof ways)[number];
const running = new AsyncDisposableStack();
const phones = new Map<Way, Phone>();
let installation: Installation;
let daemon: Awaited<ReturnType<Installation["serve"]>>["process"];
let radius: Freeradius;
let machine: PamMachine;
let db: ReturnType<typeof knex>;

beforeAll(async () => {
  noteSecret(password);
  noteToken(tokens.login);
  const ldif = ways.map((way) => personLdif(`of-${way}`)).join("");
  const [slapd, database] = await Promise.all([startSlapd({ ldif }), createTestDatabase()]);
  running.defer(() => slapd.stop());
  running.defer(() => database.drop());
  if (database.config.kind !== "postgres") throw new Error("this needs PostgreSQL");
  db = knex({ client: "pg", connection: database.config.url });
  running.defer(() => db.destroy());
  const listen = `127.0.0.1:${await freePort()}`;
  const tokenSha256 = createHash("sha256").update(tokens.login).digest("hex");
  installation = await createInstallation({
    slapd,
    database: database.config,
    config: { http: { listen, callers: [{ name: "radius", tokenSha256, scopes: ["login"] }] } },
  });
  running.defer(() => installation.remove());
  await succeeds(installation, "key", "generate");
  await succeeds(installation, "sync");
  const { process, address } = await installation.serve();
  daemon = process;
  const dirmfa = createClient({ baseUrl: address, token: tokens.login });
  for (const way of ways) {
    const username = `of-${way}`;
    const phone = await phoneWith((await dirmfa.beginEnrollment({ username })).secret);
    const { backupCodes } = await dirmfa.confirmEnrollment({ username, totp: await phone.code() });
    noteSecret(...backupCodes);
    phones.set(way, phone);
  }
  const site = "dirmfa-challenge";
  radius = await startFreeradius({ site, apiUrl: `http://${listen}`, token: tokens.login, slapd });
  running.defer(() => radius.stop());
  machine = await startPamMachine(
    radius.port,
    ways.map((way) => `of-${way}`),
  );
  running.defer(() => machine.stop());
});
afterAll(() => running.disposeAsync());

async function signIn(way: Way, code: string): Promise<boolean> {
  const name = `of-${way}`;
  if (way !== "radclient") return machine[way](name, [password, code]);
  const asked = await radius.ask({ "User-Name": name, "User-Password": password });
  const request = { "User-Name": name, "User-Password": code, State: asked.state ?? "0x00" };
  return (await radius.ask(request)).packet === "Access-Accept";
}

/** Resolves when a statement of the daemon waits for a lock. */
async function waitsForLock(): Promise<void> {
  for (let tries = 400; tries > 0; tries -= 1) {
    const waiting = await db("pg_stat_activity").where({ wait_event_type: "Lock" }).select("pid");
    if (waiting.length > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error("no verification came");
}

test.each(ways)(
  "killed while %s waits for a code to be verified, dirmfa lets nobody in, and goes on afterwards",
  async (way) => {
    const phone = phones.get(way);
    if (!phone) throw new Error("no phone");
    const code = await phone.code();
    const lock = await db.transaction();
    await lock.raw("lock table authenticators in share mode"); // nobody can spend a code now
    const answered = signIn(way, code);
    await waitsForLock();
    daemon.kill("SIGKILL");
    await once(daemon, "exit");
    expect(await answered).toBe(false);
    await lock.rollback();
    daemon = (await installation.serve()).process;
    expect(await signIn(way, await phone.code())).toBe(true);
    expect(await signIn(way, code)).toBe(false); // whether or not it was spent
  },
);
