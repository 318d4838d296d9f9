// The load of the rows that ask the daemon, over kept connections (serve.ts starts it). Either clients ask one thing after
// the other, or requests are sent at fixed times whatever the answers do, and the latency of each counts from the time it
// was due. Any answer but 200 ends it with an error. Prints one JSON object.
//
//   BENCH_TOKEN=… node scripts/bench/load.ts ADDRESS LOAD

import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { timeStepAt } from "../../src/verification/totp.ts";
import { largeOrganizationUid } from "../servers/large-organization.ts";
import { mean } from "./bench.ts";
import { totpCodeOf } from "./enrolled-users.ts";
import type { Load } from "./serve.ts";

export interface LoadAnswer {
  /** Of all answers, those of the settling too. */
  count: number;
  perSecond: number;
  /** From when a request was due, or sent where clients ask one after the other. */
  latencyMs: { mean: number; p99: number };
}

const [address = "", json = "{}"] = process.argv.slice(2);
const { work, users, settleSeconds, seconds, pace }: Omit<Load, "address" | "token"> = JSON.parse(json);
const token = process.env.BENCH_TOKEN ?? "";
const { hostname, port } = new URL(address);
const answered: { at: number; ms: number }[] = [];

function requestOf(body: object): Buffer {
  const text = JSON.stringify(body);
  return Buffer.from(
    `POST /v1/${work === "sign-in" ? "sign-in" : "verify"} HTTP/1.1\r\nhost: ${hostname}:${port}\r\n` +
      `authorization: Bearer ${token}\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}

/**
 * One kept connection with one request at a time. HTTP as little as dirmfa's answers need it: Node's own client takes more
 * processor time a request than the daemon, on the cores that they share.
 */
class Connection {
  readonly #socket: Socket;
  #received = "";
  #waiting: PromiseWithResolvers<void> | undefined;

  constructor() {
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.#socket.setEncoding("latin1");
    this.#socket.on("data", (text: string) => this.#receive(text));
    this.#socket.on("error", (error) => this.#waiting?.reject(error));
    this.#socket.on("close", () => this.#waiting?.reject(new Error("the connection was closed")));
  }

  ask(request: Buffer): Promise<void> {
    this.#waiting = Promise.withResolvers();
    this.#socket.write(request);
    return this.#waiting.promise;
  }

  end(): void {
    this.#socket.destroy();
  }

  #receive(text: string): void {
    this.#received += text;
    const headEnd = this.#received.indexOf("\r\n\r\n");
    if (headEnd < 0) return;
    const length = /\r\ncontent-length: (\d+)/i.exec(this.#received)?.[1];
    if (this.#received.length < headEnd + 4 + Number(length)) return;
    const status = this.#received.slice(9, 12);
    this.#received = "";
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (status === "200" && length !== undefined) waiting?.resolve();
    else waiting?.reject(new Error(`status ${status}`));
  }
}

function* signIns(): Generator<Buffer> {
  for (;;) {
    const username = largeOrganizationUid(Math.floor(Math.random() * users));
    yield requestOf({ username });
  }
}

/** Made before the first is sent. A code of this step stays good for the next one, 30 s from here at least. */
function verifications(): Iterator<Buffer> {
  const step = timeStepAt(new Date());
  const requests = Array.from({ length: users }, (_, number) => {
    const totp = totpCodeOf(token, number, step);
    return requestOf({ username: largeOrganizationUid(number), totp });
  });
  return shuffled(requests).values();
}

// Fisher-Yates. In the order of their numbers, neighbors would share pages of the database.
function shuffled<Value>(values: Value[]): Value[] {
  for (let last = values.length - 1; last > 0; last -= 1) {
    const other = Math.floor(Math.random() * (last + 1));
    [values[last], values[other]] = [values[other] as Value, values[last] as Value]; // both are there
  }
  return values;
}

const idle: Connection[] = []; // any number of connections: nothing waits on this side

async function ask(request: Buffer, dueAt: number): Promise<void> {
  const connection = idle.pop() ?? new Connection();
  await connection.ask(request);
  const at = performance.now();
  answered.push({ at, ms: at - dueAt });
  idle.push(connection);
}

async function askInTurns(requests: Iterator<Buffer>, clients: number, until: number): Promise<void> {
  const client = async () => {
    while (performance.now() < until) {
      const next = requests.next();
      if (next.done) return;
      await ask(next.value, performance.now());
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
}

async function askAtFixedTimes(requests: Iterator<Buffer>, perSecond: number, until: number): Promise<void> {
  const asked: Promise<void>[] = [];
  const startAt = performance.now();
  for (;;) {
    const dueAt = startAt + (asked.length / perSecond) * 1000;
    if (dueAt >= until) break;
    if (dueAt > performance.now()) {
      await sleep(1); // the finest that timers are
      continue;
    }
    const next = requests.next();
    if (next.done) break;
    asked.push(ask(next.value, dueAt));
  }
  await Promise.all(asked);
}

const requests = work === "sign-in" ? signIns() : verifications();
const settledAt = performance.now() + settleSeconds * 1000;
const until = settledAt + seconds * 1000;
if ("clients" in pace) await askInTurns(requests, pace.clients, until);
else await askAtFixedTimes(requests, pace.perSecond, until);
const elapsedMs = performance.now() - settledAt;
for (const connection of idle) connection.end();
const counted = answered.filter(({ at }) => at >= settledAt).map(({ ms }) => ms);
const answer: LoadAnswer = {
  count: answered.length,
  perSecond: (counted.length / elapsedMs) * 1000,
  latencyMs: {
    mean: mean(counted),
    p99: counted.sort((a, b) => a - b)[Math.ceil(counted.length * 0.99) - 1] ?? Number.NaN,
  },
};
console.log(JSON.stringify(answer));
