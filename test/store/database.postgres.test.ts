// What a PostgreSQL server does to us: absent, gone in the middle, back again, refusing.

import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { pino } from "pino";
import { expect, inject, test } from "vitest";
import { startPostgres } from "../../scripts/servers/postgres.ts";
import { describeError } from "../../src/log.ts";
import { openDatabase } from "../../src/store/database.ts";
import { isDatabaseUnavailable } from "../../src/store/database-errors.ts";

const options = { log: pino({ level: "silent" }), owner: true };
const password = "s3cret-and-long";

async function openingFails(url: string): Promise<Error> {
  const error: unknown = await openDatabase({ kind: "postgres", url, poolSize: 2 }, options).then(
    (open) => open.close(),
    (failure: unknown) => failure,
  );
  if (!(error instanceof Error)) throw new Error("the database was opened");
  return error;
}

test.for([
  ["where nobody listens", `postgres://dirmfa:${password}@127.0.0.1:1/dirmfa`, "ECONNREFUSED"],
  ["with a name that does not resolve", `postgres://dirmfa:${password}@nowhere.invalid/dirmfa`, "resolved"],
  ["that is no URL", `postgres://dirmfa:${password}@[::1/dirmfa`, "cannot be read"],
])("a database %s is unavailable, with the reason but without the password", async ([, url, reason]) => {
  const error = await openingFails(url ?? "");
  expect(error).toMatchObject({ code: "database-unavailable" });
  expect(error.message).toContain(reason);
  expect(inspect(error, { depth: 9 }) + JSON.stringify(describeError(error))).not.toContain(password);
  expect(isDatabaseUnavailable(error)).toBe(true);
});

test("a wrong password and a missing database are told apart", async () => {
  const url = new URL(inject("postgresUrl"));
  url.pathname = "/nothing_here";
  expect((await openingFails(url.href)).message).toContain("no database of that name");
  url.password = password;
  expect((await openingFails(url.href)).message).toContain("password was refused");
});

test("a server that accepts and then says nothing is given up", async () => {
  const server = createServer(() => {}).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const error = await openingFails(`postgres://dirmfa:${password}@127.0.0.1:${address.port}/dirmfa`);
  server.close();
  expect(error).toMatchObject({ code: "database-unavailable" });
});

test("a killed server fails statements as unavailable, crashes nothing, and is found again when it is back", async () => {
  const server = await startPostgres();
  const { db, close } = await openDatabase({ kind: "postgres", url: server.url, poolSize: 3 }, options);
  try {
    const during = [1, 2, 3].map(() =>
      db.raw("select pg_sleep(30)").then(
        () => undefined,
        (error: unknown) => error,
      ),
    );
    await sleep(200);
    await server.kill();
    for (const error of await Promise.all(during)) expect(isDatabaseUnavailable(error)).toBe(true);
    const after: unknown = await db.raw("select 1").then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(isDatabaseUnavailable(after)).toBe(true);
    await server.restart();
    expect((await db.raw("select 1 as one")).rows).toEqual([{ one: 1 }]);
    // Idle connections die silently too.
    await server.restart();
    expect((await db.raw("select 1 as one")).rows).toEqual([{ one: 1 }]);
  } finally {
    await close();
    await server.stop();
  }
});

test("a transaction that is forgotten is ended by the server, so that its row locks are freed", async () => {
  const open = await openDatabase({ kind: "postgres", url: inject("postgresUrl"), poolSize: 1 }, options);
  const result = await open.db.raw("select current_setting('idle_in_transaction_session_timeout') as limit");
  await open.close();
  expect(result.rows).toEqual([{ limit: "1min" }]);
});
