// Hot statements: written once, sent straight to the driver, and prepared by name on each connection where the database
// carries that, so that PostgreSQL parses and plans them once. A connection pooler that gives every transaction another
// server connection does not carry it (PgBouncer before 1.21): that is noticed, and they are sent whole from then on.

import { createHash } from "node:crypto";
import type { QueryResult } from "pg";
import type { Database, Transaction } from "./database.ts";
import type { Preparing } from "./preparing.ts";

export interface Statement {
  /** Made of the text: another version of dirmfa behind the same pooler never runs this one's statement by its name. */
  name: string;
  /** With $1, $2 and so on. */
  text: string;
  /** The binding of each number. */
  bindings: readonly string[];
}

/** A statement with named bindings, as `:userId`; each is one parameter, however often it stands in the text. */
export function statementOf(sql: string): Statement {
  const bindings: string[] = [];
  const text = sql.replace(/(?<!:):([a-zA-Z]\w*)/g, (_, name: string) => {
    if (!bindings.includes(name)) bindings.push(name);
    return `$${bindings.indexOf(name) + 1}`;
  });
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 32); // 128 bits; names have 63 bytes
  return { name: `dirmfa_${digest}`, text, bindings };
}

/**
 * Values for an array that is unnested, made up with nulls to more than ten. PostgreSQL takes an array that it does not know for ten
 * rows long, and would plan a shorter one anew each time, since a plan for few rows seems to cost less; the planning costs more.
 */
export function unnested<Value>(values: readonly Value[]): (Value | null)[] {
  return [...values, ...Array<null>(Math.max(0, leastUnnested - values.length)).fill(null)];
}
const leastUnnested = 11;

/** The rows of a hot statement. In a transaction it is sent whole: it could not be sent again after a failure. */
export async function rowsOf<Row>(
  db: Database | Transaction,
  statement: Statement,
  values: Readonly<Record<string, unknown>>,
): Promise<Row[]> {
  if (db.isTransaction && isCompleted(db)) throw new Error("the transaction is over");
  const preparing: Preparing | undefined = db.userParams?.preparing;
  const query = { text: statement.text, values: statement.bindings.map((name) => values[name]) };
  if (db.isTransaction || !preparing?.isOn) return send(db, query);
  try {
    return await send(db, { ...query, name: statement.name });
  } catch (error) {
    const state = error instanceof Error && "code" in error ? error.code : undefined;
    // The statement's result has other types since a migration; by its name this connection cannot run it any more.
    if (state === "0A000") return send(db, query);
    if (!preparing.turnOff || (state !== "26000" && state !== "42P05")) throw error;
    // Refused before it ran: there is no such prepared statement, or there is one already.
    preparing.turnOff();
    return send(db, query);
  }
}

function isCompleted(db: Database | Transaction): boolean {
  return "isCompleted" in db && db.isCompleted();
}

interface Query {
  text: string;
  values: unknown[];
  name?: string;
}

// Past knex, which would compile the text and its bindings anew for every statement.
async function send<Row>(db: Database | Transaction, query: Query): Promise<Row[]> {
  // knex has no type for its pool's client.
  const client: PoolClient = db.client;
  const connection = await client.acquireConnection();
  try {
    return await new Promise<Row[]>((resolve, reject) => {
      connection.query(query, (error, result) => {
        if (error) reject(error);
        // The statement says what its rows are.
        else resolve(result.rows as Row[]);
      });
    });
  } finally {
    await client.releaseConnection(connection);
  }
}

interface PoolClient {
  acquireConnection(): Promise<PoolConnection>;
  releaseConnection(connection: PoolConnection): Promise<void>;
}

interface PoolConnection {
  query(query: Query, done: (error: Error | null, result: QueryResult) => void): void;
}
