// The load of the sign-in row: asks for decisions over kept connections for some seconds and prints how many it got a second.
//
//   BENCH_TOKEN=… node scripts/bench/load.ts ADDRESS CLIENTS SECONDS USERS

import { Agent, request } from "node:http";

const [address = "", clients = "1", forSeconds = "1", users = "1"] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: Number(clients) });
const until = performance.now() + Number(forSeconds) * 1000;
let answered = 0;

function ask(): Promise<void> {
  const number = Math.floor(Math.random() * Number(users));
  const body = JSON.stringify({ username: `u${String(number).padStart(7, "0")}` });
  return new Promise((resolve, reject) => {
    const call = request(
      `${address}/v1/sign-in`,
      {
        method: "POST",
        agent,
        headers: {
          authorization: `Bearer ${process.env.BENCH_TOKEN}`,
          "content-type": "application/json",
          "content-length": Buffer.byteLength(body),
        },
      },
      (response) => {
        if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
        response.resume().on("end", () => {
          answered += 1;
          resolve();
        });
      },
    );
    call.on("error", reject);
    call.end(body);
  });
}

const startedAt = performance.now();
await Promise.all(
  Array.from({ length: Number(clients) }, async () => {
    while (performance.now() < until) await ask();
  }),
);
agent.destroy();
console.log(answered / ((performance.now() - startedAt) / 1000));
