// The load of the rows that ask the daemon, over kept connections (serve.ts starts it). Either clients ask one thing after
// the other, or requests are sent at fixed times whatever the answers do, and the latency of each counts from the time it
// was due. Any answer but 200 ends it with an error. Prints one JSON object.
//
//   BENCH_TOKEN=… node scripts/bench/load.ts ADDRESS LOAD

import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { timeStepAt } from "../../src/verification/totp.ts";
import { largeOrganizationUid } from "../servers/large-organization.ts";
import { mean } from "./bench.ts";
import { totpCodeOf } from "./enrolled-users.ts";
import type { Load } from "./serve.ts";

export interface LoadAnswer {
  perSecond: number;
  /** From when a request was due, or sent where clients ask one after the other. */
  latencyMs: { mean: number; p99: number };
}

const [address = "", json = "{}"] = process.argv.slice(2);
const { work, users, settleSeconds, seconds, pace }: Omit<Load, "address" | "token"> = JSON.parse(json);
const token = process.env.BENCH_TOKEN ?? "";
const agent = new Agent({ keepAlive: true }); // any number of connections: nothing waits on this side
const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
const answered: { at: number; ms: number }[] = [];

function* signIns(): Generator<Buffer> {
  for (;;) {
    const username = largeOrganizationUid(Math.floor(Math.random() * users));
    yield Buffer.from(JSON.stringify({ username }));
  }
}

/** Made before the first is sent. A code of this step stays good for the next one, 30 s from here at least. */
function verifications(): Iterator<Buffer> {
  const step = timeStepAt(new Date());
  const bodies = Array.from({ length: users }, (_, number) => {
    const totp = totpCodeOf(token, number, step);
    return Buffer.from(JSON.stringify({ username: largeOrganizationUid(number), totp }));
  });
  return shuffled(bodies).values();
}

// Fisher-Yates. In the order of their numbers, neighbors would share pages of the database.
function shuffled<Value>(values: Value[]): Value[] {
  for (let last = values.length - 1; last > 0; last -= 1) {
    const other = Math.floor(Math.random() * (last + 1));
    [values[last], values[other]] = [values[other] as Value, values[last] as Value]; // both are there
  }
  return values;
}

function ask(body: Buffer, dueAt: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = request(
      `${address}/v1/${work === "sign-in" ? "sign-in" : "verify"}`,
      { method: "POST", agent, headers: { ...headers, "content-length": body.length } },
      (response) => {
        if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
        response.resume().on("end", () => {
          const at = performance.now();
          answered.push({ at, ms: at - dueAt });
          resolve();
        });
      },
    );
    call.on("error", reject);
    call.end(body);
  });
}

async function askInTurns(bodies: Iterator<Buffer>, clients: number, until: number): Promise<void> {
  const client = async () => {
    while (performance.now() < until) {
      const next = bodies.next();
      if (next.done) return;
      await ask(next.value, performance.now());
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
}

async function askAtFixedTimes(bodies: Iterator<Buffer>, perSecond: number, until: number): Promise<void> {
  const asked: Promise<void>[] = [];
  const startAt = performance.now();
  for (;;) {
    const dueAt = startAt + (asked.length / perSecond) * 1000;
    if (dueAt >= until) break;
    if (dueAt > performance.now()) {
      await sleep(1); // the finest that timers are
      continue;
    }
    const next = bodies.next();
    if (next.done) break;
    asked.push(ask(next.value, dueAt));
  }
  await Promise.all(asked);
}

const bodies = work === "sign-in" ? signIns() : verifications();
const settledAt = performance.now() + settleSeconds * 1000;
const until = settledAt + seconds * 1000;
if ("clients" in pace) await askInTurns(bodies, pace.clients, until);
else await askAtFixedTimes(bodies, pace.perSecond, until);
const elapsedMs = performance.now() - settledAt;
agent.destroy();
const counted = answered.filter(({ at }) => at >= settledAt).map(({ ms }) => ms);
const answer: LoadAnswer = {
  perSecond: (counted.length / elapsedMs) * 1000,
  latencyMs: {
    mean: mean(counted),
    p99: counted.sort((a, b) => a - b)[Math.ceil(counted.length * 0.99) - 1] ?? Number.NaN,
  },
};
console.log(JSON.stringify(answer));
