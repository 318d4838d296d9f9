// Sign-in decisions over HTTP beside pgbench running the same statement on the same server. The load comes from a process of
// its own, on the same machine: it costs the daemon time that pgbench's C does not cost the floor.

import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { loadConfig } from "../../src/config/load-config.ts";
import { createLog } from "../../src/log.ts";
import { openDatabase } from "../../src/store/database.ts";
import { mfaPolicyOf } from "../../src/users/policy.ts";
import { decideSignIn } from "../../src/verification/decide-sign-in.ts";
import { type Bench, type BenchResult, type BenchRow, median, thousands } from "./bench.ts";
import { openSyncScene, runNode, type SyncScene } from "./scene.ts";

export const signIn: BenchRow = { name: "sign-in", run };

const users = 10_000;
const clients = 16; // enough to keep both cores busy on either side
const forSeconds = 5;
const leastShare = 0.25;

async function run(bench: Bench): Promise<BenchResult[]> {
  const token = randomBytes(32).toString("base64url");
  const tokenSha256 = createHash("sha256").update(token).digest("hex");
  const scene = await openSyncScene(bench, users, [
    { name: "bench", tokenSha256, scopes: ["login"], requestsPerSecond: 100_000 },
  ]);
  try {
    const url = await scene.freshDatabase();
    await runNode(bench, ["src/main.ts", "--config", scene.configFile, "key", "generate"]);
    await scene.sync();
    const script = await writePgbenchScript(bench, scene, url);
    const rates = { http: [] as number[], floor: [] as number[] };
    const daemon = spawn(process.execPath, ["src/main.ts", "--config", scene.configFile, "serve"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const address = await readyAddress(daemon.stdout);
      for (let round = 1; round <= bench.rounds; round += 1) {
        bench.say(`Sign-in decisions, round ${round} of ${bench.rounds}`);
        rates.http.push(await httpRate(bench, address, token));
        rates.floor.push(await pgbenchRate(bench, url, script));
      }
    } finally {
      daemon.kill("SIGTERM");
      await once(daemon, "exit");
    }
    const share = median(rates.http.map((rate, round) => rate / (rates.floor[round] ?? Number.NaN)));
    return [
      {
        work: "sign-in decision, over HTTP",
        measured: `${thousands(Math.round(median(rates.http)))}/s`,
        floor: `${thousands(Math.round(median(rates.floor)))}/s`,
        ratio: `${(share * 100).toFixed(0)} %`,
        target: "≥ 25 %",
        met: share >= leastShare,
        notes: [`floor: pgbench, the same statement, ${clients} clients`],
        samples: { perSecond: rates.http, floorPerSecond: rates.floor },
      },
    ];
  } finally {
    await scene.close();
  }
}

async function readyAddress(output: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: output })) {
    if (!line.includes('"dirmfa is ready"')) continue;
    output.resume(); // what else it says goes nowhere, and must not fill the pipe
    return JSON.parse(line).address;
  }
  throw new Error("the daemon ended before it was ready");
}

async function httpRate(bench: Bench, address: string, token: string): Promise<number> {
  const args = ["scripts/bench/load.ts", address, String(clients), String(forSeconds), String(users)];
  return Number(await runNode(bench, args, { BENCH_TOKEN: token }));
}

/** The statement that a decision sends, caught on its way, for a random user of the directory. */
async function writePgbenchScript(bench: Bench, scene: SyncScene, url: string): Promise<string> {
  const config = await loadConfig(scene.configFile, process.env);
  const database = await openDatabase(
    { kind: "postgres", url, poolSize: 1 },
    { log: createLog("silent"), owner: true },
  );
  try {
    let sent: { sql: string; bindings: unknown[] } | undefined;
    database.db.on("query", (query: { sql: string; bindings: unknown[] }) => {
      sent = query;
    });
    const name = { username: "u0000000" };
    await decideSignIn({ db: database.db, policy: mfaPolicyOf(config.mfa) }, { name });
    if (sent === undefined) throw new Error("a decision sent no statement");
    const { sql, bindings } = sent;
    const literal = (value: unknown) =>
      value === null ? "null::text" : "('u' || lpad((:number)::text, 7, '0'))";
    const text = sql.replace(/\$(\d+)/g, (_, index) => literal(bindings[Number(index) - 1]));
    const path = join(bench.folder, "sign-in.sql");
    await writeFile(path, `\\set number random(0, ${users - 1})\n${text.replaceAll("\n", " ")};\n`);
    return path;
  } finally {
    await database.close();
  }
}

async function pgbenchRate(bench: Bench, url: string, script: string): Promise<number> {
  const output = join(bench.folder, "pgbench.out");
  const args = [
    "-n",
    "-M",
    "extended",
    "-c",
    String(clients),
    "-j",
    "2",
    "-T",
    String(forSeconds),
    "-f",
    script,
    url,
  ];
  const child = spawn(bench.programs.pgbench ?? "pgbench", args, { stdio: ["ignore", "pipe", "inherit"] });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  const [code] = await once(child, "close");
  await writeFile(output, Buffer.concat(chunks));
  const [, rate] = /^tps = ([\d.]+)/m.exec(await readFile(output, "utf8")) ?? [];
  if (code !== 0 || rate === undefined) throw new Error(`pgbench ended with ${code}`);
  return Number(rate);
}
