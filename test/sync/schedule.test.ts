// One run a tick over all replicas, and one answer for who asks (rule 9): dry runs, failed runs and those that were cut off are
// nobody's run, and an approval holds until a run has carried it out.

import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import { scheduleSyncs } from "../../src/sync/schedule.ts";
import type { SyncRun } from "../../src/sync/sync-run.ts";
import { createSyncRunner } from "../../src/sync/sync-runner.ts";
import { findRun } from "../../src/sync/sync-runs-table.ts";
import { mfaPolicyOf } from "../../src/users/policy.ts";
import { createInstallation } from "../support/installation.ts";
import { deletions, eachTestInSyncWorld, people, rename, type SyncWorld } from "../support/sync-world.ts";

let world: SyncWorld;
eachTestInSyncWorld({ overlays: ["syncprov"], ldif: people(30) }, (fresh) => {
  world = fresh;
});

const log = pino({ level: "silent" });
// A test that fails leaves nothing that goes on ticking in the next one.
const started: { stop(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of started.splice(0).reverse()) await one.stop();
});
const untilTheEnd = <Kind extends { stop(): Promise<unknown> }>(one: Kind): Kind => {
  started.push(one);
  return one;
};
const replica = (name: string) =>
  untilTheEnd(
    createSyncRunner({
      ...{ db: world.database.db, log, policy: mfaPolicyOf(world.mfa) },
      ...{ directories: world.directories, holder: name },
    }),
  );
const runs = () => world.database.db("sync_runs").orderBy("started_at");

/** Asks a replica for the run of a tick, and waits for its end. */
async function tick(
  name: string,
  due: { slot: Date } | { overdueAfterMs: number },
  kind: "full" | "incremental" = "full",
) {
  const { directory } = world;
  const actor = { name: "schedule", via: "sync" } as const;
  const request = { directory, trigger: "schedule", actor, dryRun: false, kind } as const;
  const started = await replica(name).startDue(request, due);
  return started.kind === "started" ? (await started.finished).status : started.kind;
}

test("however many replicas tick, a tick has one run", async () => {
  world.directory.schedule = "* * * * * *";
  const replicas = ["a", "b", "c", "d"].map(replica);
  const schedules = replicas.map((runner) =>
    untilTheEnd(scheduleSyncs({ db: world.database.db, log, runner, requestId: "test" }, [world.directory])),
  );
  for (let left = 200; left > 0 && (await runs()).filter((run) => run.slot !== null).length < 3; left--) {
    await sleep(100);
  }
  for (const schedule of schedules) await schedule.stop();
  for (const runner of replicas) await runner.stop();
  const all = await runs();
  expect(all.filter((run) => run.trigger === "start").length).toBeLessThanOrEqual(1);
  const slots = all.flatMap((run) => (run.slot === null ? [] : [run.slot.toISOString()]));
  expect(slots.length).toBeGreaterThanOrEqual(3);
  expect(new Set(slots).size).toBe(slots.length);
});

test("where one directory cannot be scheduled, none ticks on", async () => {
  const { directory } = world;
  directory.schedule = "* * * * * *";
  const wrong = { ...directory, name: "wrong", timeZone: "Nowhere/Nowhere" };
  const deps = { db: world.database.db, log, runner: replica("a"), requestId: "test" };
  expect(() => scheduleSyncs(deps, [directory, wrong])).toThrow();
  await sleep(2_200); // two ticks
  expect((await runs()).filter((run) => run.slot !== null)).toEqual([]);
});

test("incremental ticks have one run over all replicas, never beside a full one, and are none for the full schedule (rule 25)", async () => {
  await world.sync();
  Object.assign(world.directory, { schedule: "*/3 * * * * *", incrementalSchedule: "* * * * * *" });
  const replicas = ["a", "b"].map(replica);
  const schedules = replicas.map((runner) =>
    untilTheEnd(scheduleSyncs({ db: world.database.db, log, runner, requestId: "test" }, [world.directory])),
  );
  const ofKind = async (kind: string) =>
    (await runs()).filter((run) => run.slot !== null && run.kind === kind && run.status === "succeeded");
  for (let left = 300; left > 0; left--) {
    if ((await ofKind("full")).length >= 2 && (await ofKind("incremental")).length >= 2) break;
    await sleep(100);
  }
  for (const schedule of schedules) await schedule.stop();
  for (const runner of replicas) await runner.stop();
  const all = await runs();
  expect((await ofKind("full")).length).toBeGreaterThanOrEqual(2);
  expect((await ofKind("incremental")).length).toBeGreaterThanOrEqual(2);
  for (const [at, run] of all.entries()) {
    const next = all[at + 1];
    if (next) expect(next.started_at.getTime()).toBeGreaterThanOrEqual(run.finished_at.getTime());
  }
});

test("an incremental run that is held has no other after it before a full one", async () => {
  await world.sync();
  world.directory.limits.renames = { count: 0, percent: 0 };
  await world.slapd.modify(rename("user0001", "renamed"));
  const incremental = (minute: number) =>
    tick("a", { slot: new Date(`2026-01-31T12:0${minute}:00Z`) }, "incremental");
  expect(await incremental(1)).toBe("held");
  expect(await incremental(2)).toBe("not-due");
  expect(await tick("a", { slot: new Date("2026-01-31T12:00:00Z") })).toBe("held");
  expect(await incremental(3)).toBe("held");
});

test("what comes to nothing is no tick's run: dry runs, failed ones and those that were cut off", async () => {
  const slot = new Date("2026-01-31T12:00:00Z");
  const anHour = { overdueAfterMs: 3_600_000 };
  expect(await world.sync({ dryRun: true })).toMatchObject({ status: "succeeded" });
  const { urls } = world.directory;
  world.directory.urls = ["ldap://127.0.0.1:1"];
  expect(await tick("a", { slot })).toBe("failed");
  expect(await tick("a", anHour)).toBe("failed"); // a run, then: the dry run was none
  world.directory.urls = urls;
  await world.database.db("sync_runs").insert({
    ...{ directory: "example", kind: "full", trigger: "schedule", requested_by: "c", dry_run: false },
    ...{ status: "abandoned", fencing_token: 1, finished_at: new Date(), slot },
  });
  expect(await tick("b", { slot })).toBe("succeeded");
  expect(await tick("a", { slot })).toBe("not-due");
  expect(await tick("c", anHour)).toBe("not-due");
  expect(await tick("c", { slot: new Date("2026-01-31T12:30:00Z") })).toBe("succeeded");
  await world.database.db("sync_runs").update({ started_at: new Date("2026-01-31T12:00:00Z") });
  expect(await tick("a", anHour)).toBe("succeeded");
});

test("who asks for a run while a dry run goes on gets a real one, when that has ended", async () => {
  const installation = await createInstallation({ slapd: world.slapd, database: world.database.config });
  const release = await blockPlans();
  const dry = await world.start({ dryRun: true });
  const asked = installation.json("sync");
  await sleep(1_000);
  await release();
  if (dry.kind !== "started") throw new Error("not started");
  expect(await dry.finished).toMatchObject({ status: "succeeded", dryRun: true });
  expect((await asked).runs).toMatchObject([{ dryRun: false, counts: { added: 30 } }]);
  await installation.remove();
});

test("who approves a run while another goes on waits for its end, and has the approved one carried out", async () => {
  await world.sync();
  await world.slapd.modify(deletions(people15));
  const held = await world.sync();
  const installation = await createInstallation({ slapd: world.slapd, database: world.database.config });
  const release = await blockPlans();
  const other = await world.start({ dryRun: true });
  const asked = installation.json("run", "approve", held.id);
  await sleep(1_000);
  await release();
  if (other.kind !== "started") throw new Error("not started");
  await other.finished;
  expect((await asked).run).toMatchObject({
    approves: held.id,
    status: "succeeded",
    counts: { removed: 15 },
  });
  await installation.remove();
});

test.each([
  ["a dry run", true, "succeeded"],
  ["one that is stopped", false, "failed"],
])(
  "the schedule waits for a run that comes to nothing, %s, and then has its own",
  async (_, dryRun, ends) => {
    world.directory.schedule = "0 0 1 1 *";
    const { db } = world.database;
    const release = await blockPlans();
    const other = replica("a");
    const actor = { name: "test", via: "sync" } as const;
    await other.start({ directory: world.directory, trigger: "request", actor, dryRun });
    const runner = replica("b");
    untilTheEnd(scheduleSyncs({ db, log, runner, requestId: "test" }, [world.directory]));
    await sleep(500); // by then it waits
    const stopped = dryRun ? undefined : other.stop();
    await release();
    await stopped;
    const facts = async () => (await runs()).map((run) => [run.trigger, run.dry_run, run.status]);
    await expect.poll(facts, { timeout: 20_000 }).toEqual([
      ["request", dryRun, ends],
      ["start", false, "succeeded"],
    ]);
  },
);

async function blockPlans(): Promise<() => Promise<void>> {
  const blocker = await world.database.db.transaction();
  await blocker.raw("lock table sync_changes in access exclusive mode");
  return async () => void (await blocker.rollback());
}

test("an approval whose run fails or is cut off is not used up", async () => {
  await world.sync();
  await world.slapd.modify(deletions(people15));
  const held = await world.sync();
  const approve = (request = {}) => world.start({ trigger: "approval", approves: held, ...request });
  const stored = async () => (await findRun(world.database.db, held.id)) as SyncRun;
  const { urls } = world.directory;
  world.directory.urls = ["ldap://127.0.0.1:1"];
  const failing = await approve();
  if (failing.kind !== "started") throw new Error("not started");
  expect(await failing.finished).toMatchObject({ status: "failed" });
  expect(await stored()).toMatchObject({ status: "held", approvedAt: null, approvedBy: null });

  world.directory.urls = urls;
  const lock = await world.database.db.transaction();
  await lock.raw("lock table sync_changes in access exclusive mode");
  const cutOff = await approve();
  await lock("leases").update({ expires_at: lock.raw("now() - interval '1 second'") });
  await lock.commit();
  if (cutOff.kind !== "started") throw new Error("not started");
  await cutOff.finished;
  await world.sync({ dryRun: true }); // whoever comes next declares it dead
  expect(await stored()).toMatchObject({ status: "held", approvedAt: null });

  expect(await world.sync({ trigger: "approval", approves: held })).toMatchObject({
    status: "succeeded",
    counts: { removed: 15 },
  });
  expect(await stored()).toMatchObject({ approvedBy: "test" });
  const events = await world.database.db("audit_events").where({ action: "sync-approve" }).orderBy("id");
  expect(events.map((event) => event.outcome)).toEqual(["done", "failed", "done", "failed", "done"]);
});

test("an approval whose process was killed is not used up", async () => {
  await world.sync();
  await world.slapd.modify(deletions(people15));
  const held = await world.sync();
  const { db } = world.database;
  await db("sync_runs").where({ id: held.id }).update({ approved_at: new Date(), approved_by: "killed" });
  await db("sync_runs").insert({
    ...{ directory: "example", kind: "full", trigger: "approval", requested_by: "killed", dry_run: false },
    ...{ status: "running", fencing_token: 1, approves: held.id },
  });
  await world.sync({ dryRun: true }); // whoever comes next declares it dead
  expect(await findRun(db, held.id)).toMatchObject({ status: "held", approvedAt: null, approvedBy: null });
  expect(await world.sync({ trigger: "approval", approves: held })).toMatchObject({
    status: "succeeded",
    counts: { removed: 15 },
  });
});

const people15 = Array.from({ length: 15 }, (_, n) => `user${String(n).padStart(4, "0")}`);
