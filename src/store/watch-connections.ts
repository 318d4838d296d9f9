// Ends connections whose server has gone without a word: a machine that lost its power, a network that was cut, a process that
// stands still. The kernel waits a quarter of an hour for such a server, and a frozen one it never gives up; meanwhile every connection
// of the pool would be taken. A statement may take long: what counts is whether its server answers anybody.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Log } from "../log.ts";

/** What is used of the pool of knex (tarn). */
export interface WatchedPool {
  on(event: "acquireSuccess", listener: (id: number, connection: WatchedConnection) => void): void;
  on(event: "release", listener: (connection: WatchedConnection) => void): void;
  on(event: "createFail", listener: () => void): void;
}

/** What is used of a client of pg. */
export interface WatchedConnection {
  connection: { stream: Socket };
  /** Of a client with a statement under way it ends the socket. */
  end(): Promise<void>;
}

const limits = {
  lookEveryMs: 1_000,
  // Statements of sign-ins take milliseconds; a run's longer ones are asked about, which costs the server a packet.
  suspectAfterMs: 4_000,
  // With the time before it, nobody has waited for a connection so long that they were refused (database.ts: acquireMs).
  answerMs: 5_000,
};

/** Watches until `stop`. */
export function watchConnections(pool: WatchedPool, log: Log): { stop(): void } {
  /** Since when each is in use, or was last known to have a living server. */
  const inUse = new Map<WatchedConnection, number>();
  pool.on("acquireSuccess", (_id, connection) => inUse.set(connection, performance.now()));
  pool.on("release", (connection) => inUse.delete(connection));

  const look = async ([connection, since]: [WatchedConnection, number]) => {
    const { stream } = connection.connection;
    inUse.set(connection, Number.POSITIVE_INFINITY); // until this is over
    const isThere = await answersAt(stream);
    // Given back meanwhile, and perhaps in use again.
    if (inUse.get(connection) !== Number.POSITIVE_INFINITY) return;
    if (isThere) inUse.set(connection, performance.now());
    else {
      log.warn(
        { seconds: Math.round((performance.now() - since) / 1000) },
        "database server does not answer",
      );
      await connection.end();
    }
  };
  const timer = setInterval(() => {
    const now = performance.now();
    for (const entry of inUse) if (now - entry[1] > limits.suspectAfterMs) void look(entry).catch(() => {});
  }, limits.lookEveryMs);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

// "May I speak TLS?", which a server, or a pooler before it, answers with one letter before it asks who one is.
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

/** True when a PostgreSQL server answers at the other end's address, whoever asks. */
async function answersAt({ remoteAddress, remotePort }: Socket): Promise<boolean> {
  // Closed already, or a socket of this machine, which ends with its server.
  if (remoteAddress === undefined || remotePort === undefined) return true;
  const socket = connect({ host: remoteAddress, port: remotePort });
  try {
    const signal = AbortSignal.timeout(limits.answerMs);
    await once(socket, "connect", { signal });
    socket.write(sslRequest);
    await once(socket, "data", { signal });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
