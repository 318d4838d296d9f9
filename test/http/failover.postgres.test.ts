// As the login service meets it: the PostgreSQL server dies under load, its standby is promoted, and two daemons that
// were told of both servers go on by themselves. Until then they say "unavailable", and no code is accepted twice.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type PostgresServer, runStatement, startPostgres } from "../../scripts/servers/postgres.ts";
import { startSlapd } from "../../scripts/servers/slapd.ts";
import { EnrollmentAnswer } from "../../src/http/routes/login-schemas.ts";
import { runCommand } from "../support/command.ts";
import { type Answer, call, callerOf, readAs, tokens } from "../support/http-server.ts";
import { createInstallation } from "../support/installation.ts";
import { people } from "../support/sync-world.ts";
import { secretOf, stepMs, totpOf } from "../verification/verification-world.ts";

let primary: PostgresServer;
let standby: PostgresServer;
let addresses: string[];
let stop: () => Promise<void>;
let configPath: string;
beforeAll(async () => {
  await using started = new AsyncDisposableStack();
  const slapd = started.adopt(await startSlapd({ ldif: people(6) }), (it) => it.stop());
  // A commit waits until the standby has it: only so is nothing lost with the server.
  const settings = ["synchronous_commit=remote_apply"];
  primary = started.adopt(await startPostgres({ settings }), (it) => it.stop());
  standby = started.adopt(await startPostgres({ standbyOf: primary }), (it) => it.stop());
  await runStatement(primary.url, "alter system set synchronous_standby_names = '*'");
  await runStatement(primary.url, "select pg_reload_conf()");
  const hosts = [primary, standby].map(({ url }) => new URL(url).host);
  const url = primary.url.replace(hosts[0] ?? "", hosts.join(","));
  const installation = started.adopt(
    await createInstallation({
      slapd,
      database: { kind: "postgres", url, poolSize: 5 },
      config: {
        http: { listen: "127.0.0.1:0", callers: [callerOf("login-service", tokens.login, ["login"])] },
        mfa: { totp: { window: 2 }, backupCodes: { count: 5 }, lockout: { failures: 20 } },
      },
    }),
    (it) => it.remove(),
  );
  configPath = installation.configPath;
  for (const command of [["migrate"], ["key", "generate"], ["sync"]]) {
    expect(await runCommand("--config", configPath, ...command)).toMatchObject({ code: 0 });
  }
  addresses = (await Promise.all([installation.serve(), installation.serve()])).map((it) => it.address);
  const running = started.move();
  stop = () => running.disposeAsync();
});
afterAll(() => stop());

const post = (path: string, body: object, daemon = 0): Promise<Answer> =>
  call(`${addresses[daemon]}${path}`, { token: tokens.login, body });

interface Enrolled {
  username: string;
  /** Not typed yet. */
  totp: string;
}

async function enroll(username: string): Promise<Enrolled> {
  const secret = secretOf(readAs(EnrollmentAnswer, await post("/v1/enrollment", { username })).secret);
  const totpAt = (steps: number) => totpOf(secret, new Date(Date.now() + steps * stepMs));
  const confirmed = await post("/v1/enrollment/confirm", { username, totp: totpAt(0) });
  expect(confirmed.status).toBe(200);
  return { username, totp: totpAt(1) };
}

test("while the server is lost daemons answer 503 in time, and then they go on with the one that was promoted", async () => {
  const users: Enrolled[] = [];
  for (const number of [0, 1, 2, 3]) users.push(await enroll(`user000${number}`));
  const [before, ...during] = users;
  if (!before) throw new Error("nobody is enrolled");
  expect((await post("/v1/verify", before)).status).toBe(200);

  const statuses: Record<string, number>[] = during.map(() => ({}));
  let longestMs = 0;
  let isOver = false;
  const typeAgainAndAgain = async (user: Enrolled, counts: Record<string, number>, daemon: number) => {
    while (!isOver) {
      const askedAt = performance.now();
      const { status } = await post("/v1/verify", user, daemon);
      longestMs = Math.max(longestMs, performance.now() - askedAt);
      counts[status] = (counts[status] ?? 0) + 1;
      await sleep(50);
    }
  };
  await primary.kill();
  const load = during.flatMap((user, index) =>
    [0, 1].map((daemon) => typeAgainAndAgain(user, statuses[index] ?? {}, daemon)),
  );
  const ready = await call(`${addresses[0]}/readyz`);
  expect(ready.status).toBe(503);
  await sleep(1_000);
  await runStatement(standby.url, "select pg_promote()");
  const deadline = Date.now() + 20_000;
  while (statuses.some((counts) => counts[200] === undefined) && Date.now() < deadline) await sleep(100);
  await sleep(500);
  isOver = true;
  await Promise.all(load);

  for (const counts of statuses) {
    expect(counts).toEqual({ 200: 1, 403: expect.any(Number), 503: expect.any(Number) });
  }
  expect(longestMs).toBeLessThan(15_500);
  // What was spent on the server that was lost is spent.
  expect((await post("/v1/verify", before, 1)).status).toBe(403);
  expect((await call(`${addresses[1]}/readyz`)).status).toBe(200);
  // And the audit lost nothing: neither the events nor the end that the daemons have noted.
  const verified = await runCommand("--config", configPath, "audit", "verify");
  expect(verified).toMatchObject({ code: 0, stdout: expect.stringContaining("as they were sealed") });
});
