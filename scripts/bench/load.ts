// The load of the rows that ask the daemon, over kept connections (serve.ts starts it). Either clients ask one thing after
// the other, or requests are sent at fixed times whatever the answers do, and the latency of each counts from the time it
// was due. Any answer but 200 ends it with an error, where it is not said that others are counted. Prints one JSON object.
//
//   BENCH_TOKEN=… node scripts/bench/load.ts ADDRESS[,ADDRESS…] LOAD

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
  latencyMs: Latency;
  /** Answers that are not 200, by status; `0` is a connection that broke. Empty where the first one ends the load. */
  refused: Record<string, { count: number; latencyMs: Latency; allWithRetryAfter: boolean }>;
}

export interface Latency {
  mean: number;
  p50: number;
  p99: number;
}

const [addresses = "", json = "{}"] = process.argv.slice(2);
const load: Omit<Load, "address" | "token"> = JSON.parse(json);
const { work, users, firstUser = 0, settleSeconds, seconds, pace, decidedFirst, refusalsCount } = load;
const token = process.env.BENCH_TOKEN ?? "";
const hosts = addresses.split(",").map((address) => new URL(address));
interface Answered {
  at: number;
  ms: number;
  status: string;
  hasRetryAfter: boolean;
}
const answered: Answered[] = [];

interface Request {
  bytes: Buffer;
  /** Of the user: of several daemons each has its own users, as behind a balancer that keeps a user's calls together. */
  user: number;
}

function requestOf(call: "sign-in" | "verify", user: number, code: object = {}): Request {
  const text = JSON.stringify({ username: largeOrganizationUid(user), ...code });
  const bytes = Buffer.from(
    `POST /v1/${call} HTTP/1.1\r\nhost: daemon\r\n` +
      `authorization: Bearer ${token}\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
  return { bytes, user };
}

/**
 * One kept connection with one request at a time. HTTP as little as dirmfa's answers need it: Node's own client takes more
 * processor time a request than the daemon, on the cores that they share.
 */
class Connection {
  readonly #socket: Socket;
  #received = "";
  #waiting: PromiseWithResolvers<Answer> | undefined;

  constructor({ hostname, port }: URL) {
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.#socket.setEncoding("latin1");
    this.#socket.on("data", (text: string) => this.#receive(text));
    this.#socket.on("error", (error) => this.#waiting?.reject(error));
    this.#socket.on("close", () => this.#waiting?.reject(new Error("the connection was closed")));
  }

  ask(request: Buffer): Promise<Answer> {
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
    const hasRetryAfter = /\r\nretry-after: \d/i.test(this.#received);
    this.#received = "";
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (length === undefined) waiting?.reject(new Error("an answer without a length"));
    else waiting?.resolve({ status, hasRetryAfter });
  }
}

interface Answer {
  status: string;
  hasRetryAfter: boolean;
}

function* signIns(): Generator<Request> {
  for (;;) yield requestOf("sign-in", firstUser + Math.floor(Math.random() * users));
}

/** Codes that nobody has, of users in turn: after some of them each user is locked out. */
function* wrongCodes(): Generator<Request> {
  for (let turn = 0; ; turn += 1) {
    const code = String(Math.floor(Math.random() * 1e6)).padStart(6, "0");
    const wrong = work === "wrong-totp" ? { totp: code } : { backupCode: `WRNG-WR${code}` };
    yield requestOf("verify", firstUser + (turn % users), wrong);
  }
}

/** Made before the first is sent. A code of this step stays good for the next one, 30 s from here at least. */
function codesOf(numbers: readonly number[]): Request[] {
  const step = timeStepAt(new Date());
  return numbers.map((number) => requestOf("verify", number, { totp: totpCodeOf(token, number, step) }));
}

function* decisionsOf(numbers: readonly number[]): Generator<Request> {
  for (const number of numbers) yield requestOf("sign-in", number);
}

// Fisher-Yates. In the order of their numbers, neighbors would share pages of the database.
function shuffled<Value>(values: Value[]): Value[] {
  for (let last = values.length - 1; last > 0; last -= 1) {
    const other = Math.floor(Math.random() * (last + 1));
    [values[last], values[other]] = [values[other] as Value, values[last] as Value]; // both are there
  }
  return values;
}

// By daemon. Any number of connections: nothing waits on this side.
const idle = hosts.map((host) => ({ host, connections: [] as Connection[] }));

async function ask({ bytes, user }: Request, dueAt: number): Promise<void> {
  const { host, connections } = idle[user % idle.length] as (typeof idle)[number]; // one at least
  const connection = connections.pop() ?? new Connection(host);
  let answer: Answer = { status: "0", hasRetryAfter: false };
  try {
    answer = await connection.ask(bytes);
    connections.push(connection);
  } catch (error) {
    if (!refusalsCount) throw error;
  }
  if (answer.status !== "200" && !refusalsCount) throw new Error(`status ${answer.status}`);
  const at = performance.now();
  answered.push({ at, ms: at - dueAt, ...answer });
}

async function askInTurns(requests: Iterator<Request>, clients: number, until: number): Promise<void> {
  const client = async () => {
    while (performance.now() < until) {
      const next = requests.next();
      if (next.done) return;
      await ask(next.value, performance.now());
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
}

async function askAtFixedTimes(requests: Iterator<Request>, perSecond: number, until: number): Promise<void> {
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

/** Of the answers that count, those with 200 and by status the others. */
function summaryOf(counted: readonly Answered[], elapsedMs: number): LoadAnswer {
  const good = counted.filter(({ status }) => status === "200");
  const refused = Map.groupBy(
    counted.filter(({ status }) => status !== "200"),
    ({ status }) => status,
  );
  return {
    count: answered.length,
    perSecond: (good.length / elapsedMs) * 1000,
    latencyMs: latencyOf(good),
    refused: Object.fromEntries(
      [...refused].map(([status, answers]) => [
        status,
        {
          count: answers.length,
          latencyMs: latencyOf(answers),
          allWithRetryAfter: answers.every(({ hasRetryAfter }) => hasRetryAfter),
        },
      ]),
    ),
  };
}

function latencyOf(answers: readonly Answered[]): Latency {
  const ms = answers.map((answer) => answer.ms).sort((a, b) => a - b);
  const at = (share: number) => ms[Math.ceil(ms.length * share) - 1] ?? Number.NaN;
  return { mean: mean(ms), p50: at(0.5), p99: at(0.99) };
}

const numbers = shuffled(Array.from({ length: users }, (_, index) => firstUser + index));
if (decidedFirst) {
  await askInTurns(decisionsOf(numbers.slice(0, decidedFirst)), 16, Number.POSITIVE_INFINITY);
  answered.length = 0;
}
// After the decisions, which may take longer than a code is good.
const requests =
  work === "verification" ? codesOf(numbers).values() : work === "sign-in" ? signIns() : wrongCodes();
const settledAt = performance.now() + settleSeconds * 1000;
const until = settledAt + seconds * 1000;
if ("clients" in pace) await askInTurns(requests, pace.clients, until);
else await askAtFixedTimes(requests, pace.perSecond, until);
const elapsedMs = performance.now() - settledAt;
for (const connection of idle.flatMap(({ connections }) => connections)) connection.end();
const counted = answered.filter(({ at }) => at >= settledAt);
console.log(JSON.stringify(summaryOf(counted, elapsedMs)));
