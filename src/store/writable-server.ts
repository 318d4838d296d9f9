// Of several PostgreSQL servers the one that takes writes: found when the pool makes its first connection, and looked for again
// when it could not make one. So a failover to a standby needs nothing but the standby's promotion.

import pg from "pg";

export interface WritableServer<Server> {
  /**
   * Rejects when none takes writes. Asked for at the same time, it looks once. knex asks again before the next connection once
   * `expirationChecker` says so.
   */
  find(): Promise<Server & { expirationChecker(): boolean }>;
  /** The pool could not connect: the next connection looks anew. */
  doubt(): void;
}

// A server of a higher timeline that is a little slower to answer than one that should be switched off is still heard.
const furtherAnswersMs = 500;

export function createWritableServer<Server extends pg.ClientConfig>(
  servers: readonly Server[],
): WritableServer<Server> {
  let isInDoubt = false;
  const look = async () => {
    const server = await chooseServer(servers);
    isInDoubt = false;
    return { ...server, expirationChecker: () => isInDoubt };
  };
  let underWay: ReturnType<typeof look> | undefined;
  return {
    find() {
      underWay ??= look().finally(() => {
        underWay = undefined;
      });
      return underWay;
    },
    doubt() {
      isInDoubt = true;
    },
  };
}

/** All are asked at once, since one that has gone answers when its time is up. */
async function chooseServer<Server extends pg.ClientConfig>(servers: readonly Server[]): Promise<Server> {
  const found: { server: Server; timeline: number }[] = [];
  const asked = servers.map(async (server) => {
    found.push({ server, timeline: await timelineOf(server) });
  });
  try {
    await Promise.any(asked);
  } catch (error) {
    throw reasonOf(error);
  }
  await Promise.race([
    Promise.allSettled(asked),
    new Promise((resolve) => setTimeout(resolve, furtherAnswersMs)),
  ]);
  // A primary that came back after its standby was promoted takes writes too, in the timeline that was left.
  const newest = Math.max(...found.map(({ timeline }) => timeline));
  const chosen = found.find(({ timeline }) => timeline === newest);
  if (!chosen) throw new Error("no server answered that did answer");
  return chosen.server;
}

/** The timeline that the server writes, 0 where it does not tell. Rejects when it takes no writes. */
async function timelineOf(server: pg.ClientConfig): Promise<number> {
  const client = new pg.Client(server);
  // What happens to it later is told by the statement that it happens to.
  client.on("error", () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ transaction_read_only: string }>("show transaction_read_only");
    if (rows[0]?.transaction_read_only !== "off") throw takesNoWrites();
    // Its first eight digits are the timeline. Other engines of the kind have no such function.
    const told = await client
      .query<{ file: string }>("select pg_walfile_name(pg_current_wal_lsn()) as file")
      .catch(() => undefined);
    return Number.parseInt(told?.rows[0]?.file.slice(0, 8) ?? "0", 16);
  } finally {
    await client.end().catch(() => {});
  }
}

/** As the server itself says it, with its SQLSTATE. */
export function takesNoWrites(): Error {
  return Object.assign(new Error("the server takes no writes"), { code: "25006" });
}

/** A server that refused says more than one that was not there. */
function reasonOf(error: unknown): unknown {
  const reasons: unknown[] = error instanceof AggregateError ? error.errors : [error];
  return reasons.find((reason) => isReadOnly(reason)) ?? reasons[0];
}

function isReadOnly(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "25006";
}
