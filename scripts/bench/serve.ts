// `dirmfa serve` as its own process, a caller that may ask it, and the load on it from another process.

import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Bench } from "./bench.ts";
import type { LoadAnswer } from "./load.ts";
import { dirmfaArgs } from "./program.ts";
import { openSyncScene, runNode, type SyncScene } from "./scene.ts";

export interface Serving {
  address: string;
  pid: number;
  /** Stops the daemon and waits for its end. */
  stop(): Promise<void>;
}

/** A ready daemon; a profile of it is written where profiles are wanted. */
export async function startServing(bench: Bench, configFile: string): Promise<Serving> {
  const daemon = spawn(process.execPath, [...dirmfaArgs(bench, configFile), "serve"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(daemon, "exit");
  const stop = async () => {
    daemon.kill("SIGTERM");
    await ended;
  };
  try {
    const address = await readyAddress(daemon.stdout);
    daemon.stdout.resume(); // what else it says goes nowhere, and must not fill the pipe
    return { address, pid: daemon.pid ?? Number.NaN, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function readyAddress(output: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: output })) {
    if (line.includes('"dirmfa is ready"')) return JSON.parse(line).address;
  }
  throw new Error("the daemon ended before it was ready");
}

/** What a login service finds: users that are synced, a sealing key, and a token whose rate limit is out of the way. */
export async function openLoginScene(
  bench: Bench,
  users: number,
): Promise<{ scene: SyncScene; url: string; token: string }> {
  const token = randomBytes(32).toString("base64url");
  const tokenSha256 = createHash("sha256").update(token).digest("hex");
  const caller = {
    name: "bench",
    tokenSha256,
    scopes: ["login"],
    requestsPerSecond: 100_000,
    requestsPerSecondPerUser: 100_000,
  };
  const scene = await openSyncScene(bench, users, { callers: [caller] });
  try {
    const url = await scene.freshDatabase();
    await runNode(bench, [...dirmfaArgs(bench, scene.configFile), "key", "generate"]);
    await scene.sync();
    return { scene, url, token };
  } catch (error) {
    await scene.close();
    throw error;
  }
}

export interface Load {
  /** Of one daemon, or of several with commas between them. */
  address: string;
  token: string;
  work: "sign-in" | "verification" | "wrong-totp" | "wrong-backup-code";
  /** Of the directory. Those of a verification are taken once each at most, in random order. */
  users: number;
  /** The number of the first of them; 0 where it is not said. */
  firstUser?: number;
  /** Of so many of a verification's users the decision is asked first, as at every sign-in; that is not counted. */
  decidedFirst?: number;
  /** Answers that are not 200 are counted, and end nothing. */
  refusalsCount?: true;
  /** Before anything is counted: connections are opened, code is compiled, caches fill. */
  settleSeconds: number;
  seconds: number;
  /** Clients that ask one thing after the other, or how many requests are sent a second whatever the answers do. */
  pace: { clients: number } | { perSecond: number };
}

/** Throws when any answer was not 200, where refusals are not counted. */
export async function load(bench: Bench, wanted: Load): Promise<LoadAnswer> {
  const { address, token, ...rest } = wanted;
  return JSON.parse(
    await runNode(bench, ["scripts/bench/load.ts", address, JSON.stringify(rest)], { BENCH_TOKEN: token }),
  );
}
