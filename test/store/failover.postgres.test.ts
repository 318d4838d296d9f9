// The PostgreSQL server is lost, and a standby takes its place; or it goes without a word, and nobody waits for it for ever.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { pino } from "pino";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { type PostgresServer, runStatement, startPostgres } from "../../scripts/servers/postgres.ts";
import { openDatabase } from "../../src/store/database.ts";
import { isDatabaseUnavailable } from "../../src/store/database-errors.ts";

const options = { log: pino({ level: "silent" }), owner: true };

let primary: PostgresServer;
let standby: PostgresServer;
beforeAll(async () => {
  primary = await startPostgres();
  await runStatement(primary.url, "create table written (n int)");
  standby = await startPostgres({ standbyOf: primary });
});
afterAll(async () => {
  await standby?.stop();
  await primary?.stop();
});

function hostOf({ url }: PostgresServer): string {
  return new URL(url).host;
}

/** The standby first, so that the order alone would choose wrongly. */
function urlOfBoth(attributes = ""): string {
  return primary.url.replace(hostOf(primary), `${hostOf(standby)},${hostOf(primary)}`) + attributes;
}

function open(url: string, poolSize = 3) {
  return openDatabase({ kind: "postgres", url, poolSize }, options);
}

/** Replication waits for no standby unless it is told to. */
async function untilReplayed(count: number): Promise<void> {
  const client = new pg.Client({ connectionString: standby.url });
  await client.connect();
  try {
    for (let rows = 0; rows < count; await sleep(20)) {
      rows = Number((await client.query("select count(*) as count from written")).rows[0].count);
    }
  } finally {
    await client.end();
  }
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

test("a standby alone is refused, beside its primary it is not used, and once promoted it is", async () => {
  // It may lag, and would answer what was true before.
  const error = await failureOf(open(standby.url).then((opened) => opened.close()));
  expect(error).toMatchObject({
    code: "database-unavailable",
    message: expect.stringContaining("it is read-only"),
  });

  const { db, close } = await open(urlOfBoth("?target_session_attrs=read-write"));
  try {
    await Promise.all([1, 2, 3].map((n) => db("written").insert({ n })));
    await untilReplayed(3);
    await primary.kill();
    const between = await Promise.all([1, 2, 3, 4, 5].map(() => failureOf(db("written").insert({ n: 4 }))));
    expect(between.map(isDatabaseUnavailable)).not.toContain(false);

    await runStatement(standby.url, "select pg_promote()");
    await db("written").insert({ n: 5 });
    expect(await db("written").orderBy("n").pluck("n")).toEqual([1, 2, 3, 5]);

    // The one that was lost comes back, and thinks that it is still the one.
    await primary.restart();
    const later = await open(urlOfBoth());
    expect(await later.db("written").pluck("n")).toContain(5);
    await later.close();
  } finally {
    await close();
  }
});

test("a server that goes without a word takes no connection for longer than an answer may take", async () => {
  const silent = await startSilencer(Number(new URL(inject("postgresUrl")).port));
  const url = new URL(inject("postgresUrl"));
  url.port = String(silent.port);
  const { db, close } = await open(url.href, 2);
  try {
    const long = db.raw("select pg_sleep(6), 'long' as word"); // longer than is suspected
    await db.raw("select 1");
    expect((await long).rows[0]).toMatchObject({ word: "long" });

    silent.isSilent = true;
    const began = performance.now();
    const lost = await Promise.all([1, 2, 3, 4].map(() => failureOf(db.raw("select 1"))));
    expect(lost.map(isDatabaseUnavailable)).not.toContain(false);
    expect(performance.now() - began).toBeLessThan(15_000);

    silent.isSilent = false;
    // Those who were connecting wait for their end first.
    while ((await failureOf(db.raw("select 1"))) !== undefined) await sleep(100);
  } finally {
    silent.isSilent = false;
    await close();
    await silent.close();
  }
});

interface Silencer {
  port: number;
  /** While set, bytes are taken and go nowhere, and new connections are not answered. */
  isSilent: boolean;
  close(): Promise<void>;
}

async function startSilencer(targetPort: number): Promise<Silencer> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(targetPort, "127.0.0.1");
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on("data", (chunk) => void (silencer.isSilent || to.write(chunk)));
      from.on("error", () => {}).on("close", () => to.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A TCP server's address is never a string.
  const { port } = server.address() as AddressInfo;
  const silencer: Silencer = {
    port,
    isSilent: false,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await sleep(0);
    },
  };
  return silencer;
}
