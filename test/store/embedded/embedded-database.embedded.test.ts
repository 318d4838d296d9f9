// Who owns a folder, between processes, and what is left after a kill. Every test has its own folder.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chown, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { afterEach, expect, inject, test, vi } from "vitest";
import { memoryFolder } from "../../../scripts/servers/postgres.ts";
import { type OpenDatabase, openDatabase } from "../../../src/store/database.ts";
import { requireSameUser } from "../../../src/store/embedded/embedded-database.ts";

// Processes that each start an engine, on a machine that may be busy with other tests.
vi.setConfig({ testTimeout: 90_000 });

const log = pino({ level: "silent" });
const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(await memoryFolder(), "dirmfa-folder-"));
  cleanUps.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function madeFolder(): Promise<string> {
  const folder = await emptyFolder();
  await cp(join(inject("embeddedTemplate"), "pgdata"), join(folder, "pgdata"), { recursive: true });
  return folder;
}

async function open(folder: string, owner = true): Promise<OpenDatabase> {
  const opened = await openDatabase({ kind: "embedded", folder }, { log, owner });
  cleanUps.push(() => opened.close());
  return opened;
}

interface Client {
  process: ChildProcess;
  lines: string[];
  ended: Promise<unknown>;
}

function startClient(folder: string, role: "owner" | "guest", act: "insert" | "count" | "hold"): Client {
  const script = new URL("./embedded-client.ts", import.meta.url).pathname;
  // Lives for seconds, as in vitest.config.ts: to optimize the engine's machine code takes a third of its start.
  const child = spawn(process.execPath, ["--liftoff-only", script, folder, role, act], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines: string[] = [];
  let rest = "";
  child.stdout.on("data", (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
  });
  const ended = once(child, "close");
  cleanUps.push(() => (child.exitCode === null && child.kill("SIGKILL") ? ended : Promise.resolve()));
  return { process: child, lines, ended };
}

async function until(condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 60_000; !condition(); await sleep(5)) {
    if (Date.now() > deadline) throw new Error("waited in vain");
  }
}

test("a second owner is refused and told which process has the database; a guest shares it", async () => {
  const folder = await madeFolder();
  const holder = startClient(folder, "owner", "hold");
  await until(() => holder.lines.includes("open"));
  await expect(openDatabase({ kind: "embedded", folder }, { log, owner: true })).rejects.toMatchObject({
    code: "database-locked",
    message: expect.stringContaining(`process ${holder.process.pid}`),
  });
  const { db } = await open(folder, false);
  await db.raw("insert into kept values (1), (2)");
  const other = startClient(folder, "guest", "count");
  await other.ended;
  expect(other.lines).toEqual(["2"]);
  holder.process.stdin?.end();
  await holder.ended;
});

test("one process does not own a folder twice", async () => {
  const folder = await madeFolder();
  await open(folder);
  await expect(openDatabase({ kind: "embedded", folder }, { log, owner: true })).rejects.toMatchObject({
    code: "database-locked",
  });
});

test("a guest owns the database for a while when nobody does", async () => {
  const folder = await madeFolder();
  const guest = startClient(folder, "guest", "count");
  await guest.ended;
  expect(guest.lines).toEqual(["0"]);
});

test("of three owners of a folder at once exactly one wins, and the guest beside them is served", async () => {
  const folder = await madeFolder();
  const owners = Array.from({ length: 3 }, () => startClient(folder, "owner", "hold"));
  const winners = () => owners.filter((owner) => owner.lines.includes("open"));
  await until(() => winners().length === 1);
  const guest = startClient(folder, "guest", "count");
  await guest.ended;
  expect(guest.lines).toEqual(["0"]);
  const [winner] = winners();
  const losers = owners.filter((owner) => owner !== winner);
  await Promise.all(losers.map((loser) => loser.ended));
  for (const loser of losers) expect(loser.lines.join()).toMatch(/^database-locked: .*process \d+/);
  winner?.process.stdin?.end();
  await winner?.ended;
});

test("whatever was committed is there after SIGKILL, time after time", async () => {
  const folder = await madeFolder();
  let said = 0;
  for (let cycle = 0; cycle < 3; cycle++) {
    const writer = startClient(folder, "owner", "insert");
    await until(() => writer.lines.length > 1 + 20 * cycle);
    writer.process.kill("SIGKILL");
    await writer.ended;
    const [found, ...inserted] = writer.lines;
    // The last one may have been committed and not yet said.
    expect([`found ${said}`, `found ${said + 1}`]).toContain(found);
    said = Number(inserted.at(-1));
  }
});

test("a process killed while it creates the database leaves nothing that hinders the next", async () => {
  const folder = join(await emptyFolder(), "new");
  for (const wait of [500, 1_500]) {
    const creator = startClient(folder, "owner", "hold");
    await sleep(wait);
    creator.process.kill("SIGKILL");
    await creator.ended;
  }
  const { db } = await open(folder);
  expect((await db.raw("select 1 as one")).rows).toEqual([{ one: 1 }]);
  expect((await readdir(folder)).sort()).toEqual(["lock", "owner.json", "pgdata", "socket"]);
  // And what it makes is for its owner alone.
  const names = ["", "pgdata", "socket", "socket/.s.PGSQL.5432", "owner.json"];
  const modes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).mode & 0o077));
  expect(modes).toEqual([0, 0, 0, 0, 0]);
});

test("after close nothing but the data and an unlocked lock is left", async () => {
  const folder = await madeFolder();
  const opened = await openDatabase({ kind: "embedded", folder }, { log, owner: true });
  await opened.close();
  expect((await readdir(folder)).sort()).toEqual(["lock", "pgdata"]);
});

test("a folder whose path is too long for a socket gets a short one elsewhere, removed at the end", async () => {
  const folder = join(await emptyFolder(), "x".repeat(120));
  await mkdir(folder);
  await cp(join(inject("embeddedTemplate"), "pgdata"), join(folder, "pgdata"), { recursive: true });
  const owner = startClient(folder, "owner", "hold");
  await until(() => owner.lines.includes("open"));
  const { socketFolder } = JSON.parse(await readFile(join(folder, "owner.json"), "utf8"));
  expect(socketFolder).not.toContain(folder);
  const guest = startClient(folder, "guest", "count");
  await guest.ended;
  expect(guest.lines).toEqual(["0"]);
  owner.process.kill("SIGKILL");
  await owner.ended;
  const next = await openDatabase({ kind: "embedded", folder }, { log, owner: true });
  await next.close();
  await expect(stat(socketFolder)).rejects.toMatchObject({ code: "ENOENT" });
});

test("owner.json is not believed: neither rubbish nor a stranger's folder does harm", async () => {
  const folder = await madeFolder();
  const precious = await emptyFolder();
  for (const content of ["{", "null", JSON.stringify({ pid: 1, socketFolder: precious })]) {
    await writeFile(join(folder, "owner.json"), content);
    const opened = await openDatabase({ kind: "embedded", folder }, { log, owner: false });
    await opened.close();
  }
  expect((await stat(precious)).isDirectory()).toBe(true);
});

test("a folder that cannot be made is unavailable, with its name", async () => {
  const file = join(await emptyFolder(), "file");
  await writeFile(file, "");
  await expect(
    openDatabase({ kind: "embedded", folder: join(file, "below") }, { log, owner: true }),
  ).rejects.toMatchObject({ code: "database-unavailable", message: expect.stringContaining(file) });
});

test("data that is broken is unavailable, and the folder is free again", async () => {
  const folder = await emptyFolder();
  await mkdir(join(folder, "pgdata"));
  await writeFile(join(folder, "pgdata", "PG_VERSION"), "18\n");
  for (let i = 0; i < 2; i++) {
    await expect(openDatabase({ kind: "embedded", folder }, { log, owner: true })).rejects.toMatchObject({
      code: "database-unavailable",
    });
  }
});

test("a statement that ends the engine costs its connections only: the database is back with what was committed", async () => {
  const folder = await madeFolder();
  const { db } = await open(folder);
  await db.raw("create table kept (n integer)");
  await db.raw("insert into kept values (1)");
  await expect(db.raw("copy kept from stdin")).rejects.toBeInstanceOf(Error);
  let rows: unknown;
  for (const deadline = Date.now() + 10_000; rows === undefined && Date.now() < deadline; await sleep(50)) {
    rows = await db("kept")
      .pluck("n")
      .catch(() => undefined);
  }
  expect(rows).toEqual([1]);
});

test("root makes nothing in a folder of another user, nor below one, and is told as whom to run", async () => {
  const folder = await emptyFolder();
  // Whoever runs this test: the folder is not root's.
  if (process.getuid?.() === 0) await chown(folder, 65_534, 65_534);
  for (const path of [folder, join(folder, "not/there/yet")]) {
    await expect(requireSameUser(path, 0)).rejects.toMatchObject({
      code: "wrong-user",
      remedy: expect.stringContaining("sudo -u '#"),
    });
    await requireSameUser(path, 65_534);
  }
  expect(await readdir(folder)).toEqual([]);
});
