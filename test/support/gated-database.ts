// A connection pool whose statements can be stopped before any one of them, for tests of what happens between two statements of
// a flow. The database is a real one; all that differs is when a statement is sent.

import knex from "knex";
import type { DatabaseConfig } from "../../src/config/config.ts";
import type { Database } from "../../src/store/database.ts";

export interface GatedDatabase {
  db: Database;
  /** From now on lets so many statements through (`begin` and `commit` are statements too), and stops the next one. */
  letThrough(statements: number): void;
  /** From now on stops the first statement whose text contains `words`, and lets all others through. */
  stopBefore(words: string): void;
  /** Lets everything through, first of all the one that waits. */
  open(): void;
  /** How many were let through since `letThrough` or `open`. */
  passed(): number;
  /** Resolves when a statement waits at the gate. */
  stopped(): Promise<void>;
  /** True while one of its statements waits in the database for a lock of another transaction. */
  waitsForLock(observer: Database): Promise<boolean>;
  close(): Promise<void>;
}

interface Connection {
  query(...args: unknown[]): unknown;
}

export function openGatedDatabase(config: DatabaseConfig, name: string): GatedDatabase {
  if (config.kind !== "postgres") throw new Error("only a PostgreSQL server has more than one connection");
  const gate = createGate();
  const db = knex({
    client: "pg",
    connection: { connectionString: config.url, application_name: name },
    pool: {
      min: 0,
      max: 4,
      afterCreate: (connection: Connection, done: (error: Error | null, connection: unknown) => void) => {
        const query = connection.query.bind(connection);
        connection.query = (...args) => gate.pass(textOf(args[0]), () => query(...args));
        done(null, connection);
      },
    },
  });
  return {
    db,
    ...gate,
    waitsForLock: async (observer) => {
      const { rows } = await observer.raw<{ rows: unknown[] }>(
        "select from pg_stat_activity where application_name = ? and wait_event_type = 'Lock'",
        [name],
      );
      return rows.length > 0;
    },
    close: () => db.destroy(),
  };
}

/** Of a statement as pg takes it. */
function textOf(statement: unknown): string {
  if (typeof statement === "string") return statement;
  const isQuery = typeof statement === "object" && statement !== null && "text" in statement;
  return isQuery ? String(statement.text) : "";
}

function createGate() {
  let allowed = Number.POSITIVE_INFINITY;
  let passed = 0;
  let stopped: string | undefined;
  let waiting: (() => void)[] = [];
  let whenStopped = Promise.withResolvers<void>();
  const set = (statements: number) => {
    allowed = statements;
    stopped = undefined;
    passed = 0;
    whenStopped = Promise.withResolvers();
  };
  return {
    /** knex takes the answer by the callback among the arguments, so nothing has to be returned. */
    pass(text: string, send: () => void): void {
      if (passed < allowed && (stopped === undefined || !text.includes(stopped))) {
        passed++;
        send();
        return;
      }
      waiting.push(send);
      whenStopped.resolve();
    },
    letThrough: set,
    stopBefore(words: string): void {
      set(Number.POSITIVE_INFINITY);
      stopped = words;
    },
    open(): void {
      set(Number.POSITIVE_INFINITY);
      const sends = waiting;
      waiting = [];
      for (const send of sends) {
        passed++;
        send();
      }
    },
    passed: () => passed,
    stopped: () => whenStopped.promise,
  };
}
