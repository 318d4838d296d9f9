// dirmfa is killed at any moment, twice at once, or without its database: the store is as before or as after (rule 5).

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runStatement, startPostgres } from "../../scripts/servers/postgres.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { createInstallation, type Installation } from "../support/installation.ts";
import {
  deletions,
  openSyncWorld,
  people,
  person,
  type SyncWorld,
  storedFacts,
} from "../support/sync-world.ts";

let world: SyncWorld;
let installation: Installation;
beforeEach(async () => {
  world = await openSyncWorld({ ldif: people(60) });
  installation = await createInstallation({ slapd: world.slapd, database: world.database.config });
  await world.sync();
  await world.slapd.modify(deletions(["user0000", "user0001"]));
  await world.slapd.add(people(5, "hired"));
});
afterEach(async () => {
  await installation.remove();
  await world.stop();
});

const runs = () => world.database.db("sync_runs").orderBy("started_at");
const usernames = async () =>
  (await world.users()).filter((user) => user.state === "active").map((user) => user.username);

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let left = 600; !(await condition()); left--) {
    if (left === 0) throw new Error("waited in vain");
    await sleep(50);
  }
}

/** The next run, by another process, once the dead one's lease has expired. */
async function recover(): Promise<void> {
  await world.database
    .db("leases")
    .update({ expires_at: world.database.db.raw("now() - interval '1 second'") });
  const run = await world.sync();
  expect(run.counts).toMatchObject({ added: 5, removed: 2 });
  expect(await usernames()).toHaveLength(63);
  const [, killed] = await runs();
  expect(killed).toMatchObject({ status: "abandoned" });
  expect(await world.database.db("staged_entries")).toEqual([]);
}

test("killed while staging, the store is as before, and the next run marks the dead one as abandoned", async () => {
  const before = await storedFacts(world);
  const proxy = await startFaultProxy(world.slapd.port);
  proxy.faults = [{ kind: "stall", afterBytes: 8_000 }];
  const behind = await createInstallation({
    slapd: world.slapd,
    database: world.database.config,
    directory: { urls: [proxy.url], limits: { pageSize: 10 } },
  });
  const child = behind.start("sync");
  await until(async () => (await world.database.db("staged_pages")).length > 0);
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(await storedFacts(world)).toEqual(before);
  expect((await runs())[1]).toMatchObject({ status: "running" });
  await behind.remove();
  await proxy.close();
  await recover();
});

test("a sync asked for while a killed run still has its lease waits for that, and then runs", async () => {
  await world.database.db.transaction(async (blocker) => {
    await blocker("users").select("*").forUpdate();
    const child = installation.start("sync");
    await until(async () => (await world.database.db("sync_changes")).length === 67);
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  const asked = installation.start("sync");
  const [said] = await once(asked.stderr, "data");
  expect(String(said)).toMatch(/run .* of example is going on; waiting for it/);
  await world.database.db("leases").update({ expires_at: world.database.db.fn.now() });
  const [code] = await once(asked, "exit");
  expect(code).toBe(0);
  expect((await runs()).map((run) => run.status)).toEqual(["succeeded", "abandoned", "succeeded"]);
  expect(await usernames()).toHaveLength(63);
});

/** Until a statement that `query` matches waits for a lock. */
async function untilBlocked(query: string): Promise<void> {
  await until(async () => {
    const { rows } = await world.database.db.raw(
      "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() and query like ?",
      [query],
    );
    return rows.length > 0;
  });
}

/** Starts a run that waits, in the statement that `query` matches, for a lock that the test holds; then kills it. */
async function killWhileBlocked(table: string, query: string): Promise<void> {
  const before = await storedFacts(world);
  const blocker = await world.database.db.transaction();
  await blocker(table).select("*").forUpdate();
  const child = installation.start("sync");
  await untilBlocked(query);
  expect(await world.database.db("sync_changes")).toHaveLength(67);
  child.kill("SIGKILL");
  await once(child, "exit");
  await blocker.rollback();
  expect(await storedFacts(world)).toEqual(before);
}

test("killed between plan and apply, the store is as before", async () => {
  await killWhileBlocked("users", "update users u set state = 'removed'%");
  await recover();
});

test("killed at the end of applying, when every user is written, the store is as before", async () => {
  await killWhileBlocked("directories", 'insert into "directories"%');
  await recover();
});

test("killed at arbitrary moments, the store is as before or as after, never between", async () => {
  const before = JSON.stringify(await usernames());
  let after: string | undefined;
  for (let delayMs = 150; delayMs <= 900; delayMs += 75) {
    const child = installation.start("sync");
    await Promise.race([sleep(delayMs), once(child, "exit")]);
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    const now = JSON.stringify(await usernames());
    if (now !== before) {
      after ??= now;
      expect(now).toBe(after);
      expect(await usernames()).toHaveLength(63);
    }
    await world.database
      .db("leases")
      .update({ expires_at: world.database.db.raw("now() - interval '1 second'") });
  }
  await world.sync();
  expect(await usernames()).toHaveLength(63);
});

test("a replica that was thought dead cannot apply any more", async () => {
  const before = await storedFacts(world);
  const proxy = await startFaultProxy(world.slapd.port);
  proxy.faults = [{ kind: "stall", afterBytes: 8_000 }];
  world.directory.urls = [proxy.url];
  world.directory.limits.pageSize = 10;
  world.directory.timeouts.idleMs = 3_000;
  const slow = await world.start();
  if (slow.kind !== "started") throw new Error("not started");
  await world.database
    .db("leases")
    .update({ expires_at: world.database.db.raw("now() - interval '1 second'") });
  world.directory.urls = [world.slapd.url];
  const next = await world.sync({ dryRun: true });
  expect(next.status).toBe("succeeded");
  await slow.finished;
  expect((await runs())[1]).toMatchObject({ status: "abandoned" });
  expect(await storedFacts(world)).toEqual(before);
  await proxy.close();
});

test("a run that waited for the lease starts when it has it", async () => {
  const { db } = world.database;
  const blocker = await db.transaction();
  await blocker.raw("lock table leases in exclusive mode");
  const started = world.start();
  await untilBlocked("%into leases%");
  const free = (await blocker.raw("select clock_timestamp() as now")).rows[0].now;
  await blocker.commit();
  const run = await started;
  if (run.kind !== "started") throw new Error("not started");
  expect(run.run.startedAt.getTime()).toBeGreaterThanOrEqual(free.getTime());
  await run.finished;
});

test("two daemons on one database run one at a time and count once", async () => {
  await installation.run("key", "generate");
  const second = await createInstallation({
    slapd: world.slapd,
    database: world.database.config,
    config: { keys: { folder: `${installation.folder}/keys` } },
    directory: { schedule: "* * * * * *", jitter: "0s" },
  });
  const first = await createInstallation({
    slapd: world.slapd,
    database: world.database.config,
    config: { keys: { folder: `${installation.folder}/keys` } },
    directory: { schedule: "* * * * * *", jitter: "0s" },
  });
  const daemons = await Promise.all([first.serve(), second.serve()]);
  await until(async () => (await runs()).filter((run) => run.status === "succeeded").length >= 5);
  for (const daemon of daemons) {
    daemon.process.kill("SIGTERM");
    await once(daemon.process, "exit");
    expect(daemon.process.exitCode).toBe(0);
  }
  const all = await runs();
  const ended = all.map((run) => run.status);
  expect(ended).not.toContain("running");
  expect(ended).not.toContain("abandoned");
  for (const [index, run] of all.entries()) {
    const next = all[index + 1];
    if (next) expect(next.started_at.getTime()).toBeGreaterThanOrEqual(run.finished_at.getTime() - 1);
  }
  expect(all.reduce((sum, run) => sum + (run.added ?? 0), 0)).toBe(65);
  expect(all.reduce((sum, run) => sum + (run.removed ?? 0), 0)).toBe(2);
  await first.remove();
  await second.remove();
});

test("the database goes away in the middle, and comes back with everything", {
  timeout: 90_000,
}, async () => {
  const postgres = await startPostgres();
  const own = await createInstallation({
    slapd: world.slapd,
    database: { kind: "postgres", url: postgres.url, poolSize: 4 },
    directory: { limits: { pageSize: 10 } },
  });
  try {
    await own.run("migrate");
    expect((await own.json("sync")).runs[0].counts).toMatchObject({ added: 63 });
    await world.slapd.add(person("late"));
    const proxy = await startFaultProxy(world.slapd.port);
    proxy.faults = [{ kind: "stall", afterBytes: 4_000 }];
    const behind = await createInstallation({
      slapd: world.slapd,
      database: { kind: "postgres", url: postgres.url, poolSize: 4 },
      directory: { urls: [proxy.url], limits: { pageSize: 10 }, timeouts: { idle: "1s" } },
    });
    const failing = behind.run("sync");
    await until(async () => proxy.bytesSeen > 4_000);
    await postgres.kill();
    const ended = await failing;
    expect(ended.code).toBe(1);
    expect(ended.stdout).toMatch(/example: failed.*\((directory-timeout|database-unavailable)\)/s);
    await postgres.restart();
    // The failed run could not give its lease back; nobody wants to wait a minute here.
    await runStatement(postgres.url, "update leases set expires_at = now()");
    expect((await own.json("user", "list", "--state", "active", "--limit", "1000")).users).toHaveLength(63);
    await own.run("sync");
    expect((await own.json("user", "list", "--state", "active", "--limit", "1000")).users).toHaveLength(64);
    await behind.remove();
    await proxy.close();
  } finally {
    await own.remove();
    await postgres.stop();
  }
});
