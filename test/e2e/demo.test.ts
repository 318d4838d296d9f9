// The demo as its reader meets it: starts, does what its guide says, stops without a trace, and survives being killed.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";

const run = promisify(execFile);

interface Demo {
  process: ChildProcess;
  printed(): string;
  /** Ends it and resolves to its exit code. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** Starts the demo and resolves when it says that it runs. */
async function startDemo(): Promise<Demo> {
  const child = spawn(process.execPath, ["scripts/demo.ts", "--folder", folder], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      printed += chunk.toString();
    });
  }
  const gone = once(child, "exit");
  const deadline = Date.now() + 90_000; // a first start takes five seconds; the machine may be busy
  while (!printed.includes("The demo is running.")) {
    if (child.exitCode !== null || Date.now() > deadline) {
      throw new Error(`the demo did not start: ${printed}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    process: child,
    printed: () => printed,
    end: async (signal) => {
      child.kill(signal);
      const [code] = await gone;
      return code;
    },
  };
}

// One folder for the file, since making a database takes longer than all else.
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dirmfa-demo-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What a script of the demo prints, whatever its exit code. */
async function tried(script: string, ...args: string[]): Promise<string> {
  try {
    return (await run(join(folder, script), args)).stdout;
  } catch (error) {
    if (error instanceof Error && "stdout" in error) return String(error.stdout);
    throw error;
  }
}

async function processesOf(): Promise<string[]> {
  const { stdout } = await run("ps", ["-eww", "-o", "args="]);
  return stdout.split("\n").filter((line) => line.includes(folder) && !line.includes("<defunct>"));
}

test("the demo does what its guide says and stops without a trace", { timeout: 240_000 }, async () => {
  const demo = await startDemo();
  expect(demo.printed()).toMatch(/200 added, 3 skipped/);
  const loginService = /http:\S+\/(?= +user jmueller)/.exec(demo.printed())?.[0] ?? "no address";
  expect(await (await fetch(loginService)).text()).toContain("Password");
  const consoleAddress = /http:\S+\/(?= +the console)/.exec(demo.printed())?.[0] ?? "no address";
  expect(await (await fetch(consoleAddress)).text()).toContain("Then you are asked for a code.");

  await run(join(folder, "hire.sh"), ["Ada Lovelace", "ada"]);
  await tried("dirmfa", "sync");
  expect(await tried("dirmfa", "user", "show", "ada")).toMatch(/MFA required\s+required-new-user/);

  await run(join(folder, "vanish.sh"));
  await tried("dirmfa", "sync");
  const held = await tried("dirmfa", "run", "list", "--status", "held", "--limit", "1");
  const id = /^[0-9a-f-]{36}/m.exec(held)?.[0] ?? "no held run";
  const approved = await tried("dirmfa", "run", "approve", id);
  const removed = Number(/(\d+) removed/.exec(approved)?.[1]);
  expect(removed).toBeGreaterThan(50);

  await run(join(folder, "return.sh"));
  await tried("dirmfa", "sync");
  expect(await tried("dirmfa", "run", "list")).toMatch(new RegExp(`succeeded .* ${removed} `));

  expect(await demo.end("SIGINT")).toBe(0);
  expect(await processesOf()).toEqual([]);
});

test("after a killed demo the next one starts, with the data of the first", {
  timeout: 240_000,
}, async () => {
  const killed = await startDemo();
  await run(join(folder, "hire.sh"), ["Grace Hopper", "grace"]);
  await killed.end("SIGKILL");
  const next = await startDemo();
  expect(next.printed()).toMatch(/Found again the organization/);
  expect(await tried("dirmfa", "user", "show", "grace")).toMatch(/username\s+grace/);
  expect(await next.end("SIGTERM")).toBe(0);
});

test("the demo ends when its directory dies", { timeout: 240_000 }, async () => {
  const demo = await startDemo();
  const gone = once(demo.process, "exit");
  process.kill(Number(await readFile(join(folder, "ldap/slapd.pid"), "utf8")), "SIGKILL");
  expect(await gone).toEqual([1, null]);
  expect(demo.printed()).toContain("OpenLDAP ended");
  expect(await processesOf()).toEqual([]);
});
