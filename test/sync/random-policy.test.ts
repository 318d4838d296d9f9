// Random changes of groups and of the configuration (rules 13, 27): no requirement ends without a word, and no deadline moves away.

import { pino } from "pino";
import { expect, test } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { pick, type Random, randomFrom } from "../../scripts/servers/seeded-random.ts";
import { getDirectoryMemory } from "../../src/sync/directories-table.ts";
import { startSync } from "../../src/sync/start-sync.ts";
import { decideRequirement, mfaPolicyOf } from "../../src/users/policy.ts";
import { setRequiredByAdmin } from "../../src/users/require-mfa.ts";
import type { User } from "../../src/users/user.ts";
import { openSyncWorld, optionalMfa, people, type SyncWorld } from "../support/sync-world.ts";

// More with `RANDOM_ROUNDS=2000 RANDOM_SEED=7 npx vitest run --project postgres test/sync/random-policy.test.ts`.
const rounds = Number(process.env.RANDOM_ROUNDS ?? 60);
const seed = Number(process.env.RANDOM_SEED ?? 1);

const uids = Array.from({ length: 16 }, (_, n) => `user${String(n).padStart(4, "0")}`);
const groups = ["vpn", "admins", "outer"];
const actor = { name: "test", via: "sync" } as const;
const dnOf = (cn: string) => `cn=${cn},ou=groups,dc=example,dc=org`;

function groupLdif(random: Random, cn: string): string {
  const listed = uids.filter(() => random() < 0.5).map((uid) => `uid=${uid},ou=people,dc=example,dc=org`);
  const nested = cn === "outer" ? [dnOf("vpn")] : [];
  const members = [...nested, ...listed];
  return ldifEntry(dnOf(cn), [
    ["objectClass", "groupOfNames"],
    ["cn", cn],
    ...(members.length > 0 ? members : [dnOf("nobody")]).map((dn) => ["member", dn] as const),
  ]);
}

/** Changes the directory or the configuration, in one of the ways that a requirement could be lost by. */
async function change(random: Random, world: SyncWorld): Promise<string> {
  const what = pick(random, [
    "member",
    "member",
    "group",
    "groups",
    "mode",
    "grace",
    "nested",
    "admin",
    "new",
    "server",
  ]);
  const cn = pick(random, groups);
  const uid = pick(random, uids);
  const member = `member: uid=${uid},ou=people,dc=example,dc=org`;
  const modify = (verb: string) =>
    world.slapd.modify(`dn: ${dnOf(cn)}\nchangetype: modify\n${verb}: member\n${member}\n\n`);
  if (what === "member") {
    // What cannot be done, as to add a member twice, changes nothing.
    await modify(pick(random, ["add", "delete"])).catch(() => undefined);
  } else if (what === "group") {
    await world.slapd
      .modify(`dn: ${dnOf(cn)}\nchangetype: delete\n\n`)
      .catch(() => world.slapd.add(groupLdif(random, cn)));
  } else if (what === "groups") {
    world.mfa.requireForGroups = groups
      .filter(() => random() < 0.5)
      .map((name) => (random() < 0.5 ? name : dnOf(name)));
  } else if (what === "mode") world.mfa.mode = random() < 0.3 ? "required" : "optional";
  else if (what === "grace") world.mfa.enrollmentGraceMs = pick(random, [0, 3_600_000, 7_200_000]);
  else if (what === "new") world.mfa.requireForNewUsers = random() < 0.5;
  else if (what === "nested" && world.directory.groups) world.directory.groups.nested = random() < 0.5;
  else if (what === "admin") {
    const { id } = await world.user(uid);
    await setRequiredByAdmin(world.database, { userId: id, required: random() < 0.5, actor });
  } else if (what === "server") {
    await world.database.db("directories").update({ server_identity: "another" });
  }
  return what;
}

/** A run of a daemon that has another configuration than the one in force. */
async function runOfStaleReplica(world: SyncWorld) {
  const started = await startSync(
    {
      db: world.database.db,
      log: pino({ level: "silent" }),
      policy: mfaPolicyOf({ ...optionalMfa, requireForGroups: ["no such group"] }),
      directories: world.directories,
      holder: "stale",
    },
    {
      directory: world.directory,
      trigger: "request",
      actor,
      dryRun: false,
      signal: new AbortController().signal,
    },
  );
  if (started.kind !== "started") throw new Error(started.kind);
  return started.finished;
}

interface Facts {
  users: Map<string, User>;
  graces: Map<string, Record<string, string>>;
  lastEvent: string;
}

async function factsOf({ database: { db }, users }: SyncWorld): Promise<Facts> {
  const { rows } = await db.raw<{ rows: { id: string; graces: Record<string, string> | null }[] }>(
    "select id, graces from users",
  );
  const last = await db("audit_events").max({ id: "id" }).first();
  return {
    users: new Map((await users()).map((user) => [user.id, user])),
    graces: new Map(rows.map(({ id, graces }) => [id, graces ?? {}])),
    lastEvent: last?.id ?? "0",
  };
}

async function endsSince({ database: { db } }: SyncWorld, lastEvent: string) {
  return db("audit_events")
    .select({ action: "action", userId: "user_id", details: "details" })
    .where("id", ">", lastEvent)
    .whereIn("action", ["requirement-end", "mfa-unrequire"]);
}

function expectNothingLost(before: Facts, after: Facts, ended: ReadonlySet<string>, told: string) {
  expect([...after.users.keys()].sort(), told).toEqual([...before.users.keys()].sort());
  for (const [id, was] of before.users) {
    const is = after.users.get(id);
    if (!is) throw new Error(told);
    const about = `${told}: ${was.username}`;
    expect([is.state, is.requiredNewUser], about).toEqual(["active", was.requiredNewUser]);
    const { required } = decideRequirement(is);
    expect(is.requiredSince !== null, about).toBe(required);
    if (decideRequirement(was).required && !required) expect(ended, about).toContain(id);
    if (was.requiredSince && !ended.has(id)) {
      expect([is.requiredSince, is.enrollmentDeadline], about).toEqual([
        was.requiredSince,
        was.enrollmentDeadline,
      ]);
    }
    // What a reason gave once, it gave for good.
    expect(after.graces.get(id), about).toMatchObject(before.graces.get(id) ?? {});
  }
}

test(`every end of a requirement is told or held, and no deadline moves away: ${rounds} rounds`, async () => {
  const random = randomFrom(seed);
  const ldif = people(uids.length) + groups.map((cn) => groupLdif(random, cn)).join("");
  const world = await openSyncWorld({ ldif });
  const seen = { held: 0, approved: 0, stale: 0, endsByRun: 0, endsByPolicy: 0 };
  try {
    // Low enough to be met.
    world.directory.limits.requirements = { count: 1, percent: 5 };
    Object.assign(world.mfa, {
      requireForGroups: ["vpn"],
      requireForNewUsers: true,
      enrollmentGraceMs: 3_600_000,
    });
    await world.sync();
    for (let round = 0; round < rounds; round++) {
      const before = await factsOf(world);
      const changes = [await change(random, world), await change(random, world)];
      const { serverIdentity } = await getDirectoryMemory(world.database.db, world.directory.name);
      const isStale = random() < 0.25;
      let run = await (isStale ? runOfStaleReplica(world) : world.sync());
      const told = `seed ${seed}, round ${round}, ${changes.join(" and ")}, ${isStale ? "stale" : "restarted"}, ${run.status}`;
      expect(["succeeded", "held"], told).toContain(run.status);
      const first = await endsSince(world, before.lastEvent);
      const byRun = first.filter(({ details }) => details?.by === "sync-run");
      if (run.status === "held" || serverIdentity === "another") expect(byRun, told).toEqual([]);
      else
        expect(byRun.length, told).toBe(
          (await world.changes(run)).filter(({ reasons }) => reasons.includes("requirement-ended")).length,
        );
      if (run.status === "held") {
        seen.held++;
        if (random() < 0.6) {
          run = await world.sync({ trigger: "approval", approves: run });
          if (run.status === "succeeded") seen.approved++;
        }
      }
      if (isStale) seen.stale++;
      const ends = await endsSince(world, before.lastEvent);
      seen.endsByRun += ends.filter(({ details }) => details?.by === "sync-run").length;
      seen.endsByPolicy += ends.filter(({ details }) => details?.by === "policy-change").length;
      expectNothingLost(
        before,
        await factsOf(world),
        new Set(ends.flatMap(({ userId }) => userId ?? [])),
        told,
      );
    }
  } finally {
    await world.stop();
  }
  // What did not come up was not tried.
  for (const count of Object.values(seen)) expect(count, JSON.stringify(seen)).toBeGreaterThan(0);
}, 3_600_000);
