// Opens the database: knex on pg, against a PostgreSQL server or against the embedded database's socket. The only file
// where knex is a value. Knows no tables.

import knex, { type Knex } from "knex";
import type { DatabaseConfig, PreparedStatements } from "../config/config.ts";
import type { Log } from "../log.ts";
import { parsePostgresUrl } from "../postgres-url.ts";
import { databaseUnavailable } from "./database-errors.ts";
import { preparingOf } from "./preparing.ts";
import { type WatchedPool, watchConnections } from "./watch-connections.ts";
import { createWritableServer, takesNoWrites } from "./writable-server.ts";

export type Database = Knex;
export type Transaction = Knex.Transaction;

type PostgresConfig = Extract<DatabaseConfig, { kind: "postgres" }>;

export interface OpenDatabase {
  db: Database;
  engine: "postgres" | "embedded";
  /** Ends every connection; afterwards `db` rejects. */
  close(): Promise<void>;
}

export interface OpenDatabaseOptions {
  log: Log;
  /** The embedded database has one owner at a time, which serves it to others. Means nothing on a PostgreSQL server. */
  owner: boolean;
}

const limits = {
  // A healthy server answers a connect in milliseconds, one in failover not at all.
  connectMs: 5_000,
  // The embedded database greets only between two statements, and a sync's can take seconds.
  embeddedConnectMs: 10_000,
  // They queue for one session anyway.
  embeddedPoolSize: 4,
  // Sign-ins that wait longer than this for a free connection are better answered "unavailable".
  acquireMs: 10_000,
  // Shorter than the minutes after which firewalls forget a silent connection.
  keepAliveAfterMs: 30_000,
  // No transaction waits for anything but the database; a frozen replica must not keep row locks from the others.
  idleInTransactionMs: 60_000,
  // PostgreSQL 14, the oldest one supported; other engines of its kind may tell less and still do.
  serverVersion: 140_000,
};
const oldestServer = "14";

/**
 * Opens and tries the database. Throws AppError `database-unavailable`, and `database-locked` when another process
 * owns the embedded one. The schema is not looked at.
 */
export async function openDatabase(
  config: DatabaseConfig,
  options: OpenDatabaseOptions,
): Promise<OpenDatabase> {
  return config.kind === "embedded"
    ? await openEmbedded(config.folder, options)
    : await openPostgres(config, options.log);
}

async function openPostgres(config: PostgresConfig, log: Log): Promise<OpenDatabase> {
  const servers = parsePostgresUrl(config.url)?.map(({ href }) => connectionOf(href, limits.connectMs)) ?? [];
  const writable = servers.length > 1 ? createWritableServer(servers) : undefined;
  const connection = writable ? () => writable.find() : connectionOf(config.url, limits.connectMs);
  const pool = { max: config.poolSize, afterCreate: prepareConnection };
  const db = createPool(connection, log, pool, config.preparedStatements ?? "auto");
  // Knex has no type for its pool.
  const { pool: watched }: { pool: WatchedPool } = db.client;
  watched.on("createFail", () => writable?.doubt());
  const watch = watchConnections(watched, log);
  const close = () => db.destroy().finally(watch.stop);
  try {
    await tryOut(db, log);
    return { db, engine: "postgres", close };
  } catch (error) {
    await close();
    throw error;
  }
}

function connectionOf(connectionString: string, connectMs: number) {
  return { connectionString, ...settingsOf(connectMs) };
}

function settingsOf(connectMs: number) {
  return {
    connectionTimeoutMillis: connectMs,
    application_name: "dirmfa",
    keepAlive: true,
    keepAliveInitialDelayMillis: limits.keepAliveAfterMs,
  };
}

// The session's settings are shared by all connections, so none are made here; the bridge has its own idle limit.
async function openEmbedded(folder: string, options: OpenDatabaseOptions): Promise<OpenDatabase> {
  // Loaded where it is used: it needs more of Node than the rest of a command.
  const { embeddedPort, openEmbeddedDatabase } = await import("./embedded/embedded-database.ts");
  const embedded = await openEmbeddedDatabase(folder, options);
  const address = {
    host: embedded.socketFolder,
    port: embeddedPort,
    user: "postgres",
    database: "postgres",
    ssl: false,
  };
  const connection = { ...address, ...settingsOf(limits.embeddedConnectMs) };
  // The bridge keeps the prepared statements of its connections apart.
  const db = createPool(connection, options.log, { max: limits.embeddedPoolSize }, "on");
  const close = () => db.destroy().then(embedded.close);
  try {
    await tryOut(db, options.log);
    return { db, engine: "embedded", close };
  } catch (error) {
    await close();
    throw error;
  }
}

function createPool(
  connection: Knex.PgConnectionConfig | Knex.ConnectionConfigProvider,
  log: Log,
  pool: Knex.PoolConfig,
  preparedStatements: PreparedStatements,
): Database {
  const db = knex({
    client: "pg",
    version: oldestServer, // else knex asks the server, which costs a round trip, and makes nothing of the answer
    connection,
    pool: { min: 0, acquireTimeoutMillis: limits.acquireMs, ...pool },
    // Otherwise knex would write stored values into the messages of errors.
    compileSqlOnError: false,
    log: {
      // Mostly connections that failed, which whoever asked for one is told as well.
      warn: (message: unknown) => log.debug({ driverMessage: String(message) }, "database driver warns"),
      error: (message: unknown) => log.warn({ driverMessage: String(message) }, "database driver fails"),
      deprecate: (method: string) => log.warn({ method }, "database driver method is deprecated"),
      debug: () => {},
    },
  });
  db.userParams = { preparing: preparingOf(preparedStatements, log) };
  return db;
}

// Not a startup parameter: connection poolers such as PgBouncer refuse those that they do not know. A standby is refused as
// well: it may lag, and would say "no second factor needed" of a user for whom that has ended.
const preparation = `set idle_in_transaction_session_timeout = ${limits.idleInTransactionMs};
  select current_setting('in_hot_standby', true) as standby`;

function prepareConnection(
  connection: FreshConnection,
  done: (error: Error | null, connection: FreshConnection) => void,
): void {
  connection.query(preparation, (error, results) => {
    const failure = error ?? (results?.at(-1)?.rows[0]?.standby === "on" ? takesNoWrites() : null);
    // The pool forgets it, and would leave it open.
    if (failure) connection.end(() => done(failure, connection));
    else done(null, connection);
  });
}

interface FreshConnection {
  query(
    sql: string,
    done: (error: Error | null, results: { rows: { standby?: string | null }[] }[] | undefined) => void,
  ): void;
  end(done: () => void): void;
}

/** Rejects, with the pool closed, unless the server answers. */
async function tryOut(db: Database, log: Log): Promise<void> {
  try {
    const result = await db.raw<{ rows: { version: string }[] }>(
      "select current_setting('server_version_num') as version",
    );
    const version = Number(result.rows[0]?.version);
    if (version < limits.serverVersion) {
      log.warn({ serverVersion: version }, "database server is older than supported");
    }
  } catch (error) {
    await db.destroy();
    throw databaseUnavailable(error);
  }
}
