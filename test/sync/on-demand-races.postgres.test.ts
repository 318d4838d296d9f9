// Rules 4, 5 and 26: a user who is read on demand while a run is going on, at each of its steps, and a directory that hangs.

import { createServer } from "node:net";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { systemClock } from "../../src/clock.ts";
import { createOnDemand, type OnDemand } from "../../src/sync/on-demand.ts";
import { startSync } from "../../src/sync/start-sync.ts";
import { applyPolicy } from "../../src/users/apply-policy.ts";
import { decideRequirement, mfaPolicyOf } from "../../src/users/policy.ts";
import { decideSignIn } from "../../src/verification/decide-sign-in.ts";
import { createTogether } from "../../src/verification/together.ts";
import { type GatedDatabase, openGatedDatabase } from "../support/gated-database.ts";
import { deletions, eachTestInSyncWorld, people, person, type SyncWorld } from "../support/sync-world.ts";

const dnOf = (uid: string) => `uid=${uid},ou=people,dc=example,dc=org`;
const groupDn = "cn=vpn,ou=groups,dc=example,dc=org";
const add = (ldif: string) => ldif.replace(/^(dn: .*)$/gm, "$1\nchangetype: add");
const modify = (dn: string, change: string) => `dn: ${dn}\nchangetype: modify\n${change}\n\n`;
const lock = (uid: string) => modify(dnOf(uid), "add: employeeType\nemployeeType: locked");
const unlock = (uid: string) => modify(dnOf(uid), "delete: employeeType");
const actor = { name: "hr", via: "api" } as const;
const log = pino({ level: "silent" });

let world: SyncWorld;
let gated: GatedDatabase;
const started: OnDemand[] = [];
/** What came of each question, and of each that was not asked. */
const asked: string[] = [];
eachTestInSyncWorld(
  {
    ldif:
      people(20) +
      ldifEntry(groupDn, [
        ["objectClass", "groupOfNames"],
        ["cn", "vpn"],
        ["member", dnOf("user0000")],
      ]),
  },
  (fresh) => {
    world = fresh;
  },
);
beforeEach(async () => {
  world.directory.users.disabled = { kind: "attribute", attribute: "employeeType", values: ["locked"] };
  Object.assign(world.mfa, { requireForGroups: ["vpn"] });
  expect((await world.sync()).counts).toMatchObject({ added: 20 });
  gated = openGatedDatabase(world.database.config, "gated");
});
afterEach(async () => {
  gated.open();
  for (const one of started.splice(0)) await one.stop();
  await gated.close();
});

const onDemandOf = (
  settings: Partial<SyncWorld["directory"]["onDemand"]> = {},
  db = world.database.db,
  urls = world.directory.urls,
) => {
  const onDemand = { enabled: true, timeoutMs: 40_000, perMinute: 60, unknownForMs: 1, ...settings };
  const onRefreshed = (_directory: string, outcome: string) => asked.push(outcome);
  const one = createOnDemand(
    { db, log, clock: systemClock, holder: "test", requestId: "test", onRefreshed },
    [{ ...world.directory, urls, onDemand }],
  );
  started.push(one);
  return one;
};
/** A run over the gated database. */
const startRun = async () => {
  const policy = mfaPolicyOf(world.mfa);
  const { directories } = world;
  await applyPolicy({ db: world.database.db, policy, directories }, { name: "test", via: "daemon" });
  const run = await startSync(
    { db: gated.db, log, policy, directories, holder: "gated" },
    {
      directory: world.directory,
      trigger: "request",
      actor: { name: "test", via: "sync" },
      dryRun: false,
      signal: new AbortController().signal,
    },
  );
  if (run.kind !== "started") throw new Error(run.kind);
  return run.finished;
};
const signIn = async (onDemand: OnDemand, username: string) => {
  const deps = {
    together: createTogether(world.database.db),
    directories: world.directories,
    readForSignIn: onDemand.readForSignIn,
  };
  const answer = await decideSignIn(deps, { name: { username } });
  if (answer.outcome !== "decided") throw new Error(answer.outcome);
  return answer;
};

test("a run that listed before users were read leaves them alone: nobody is removed, nothing older is taken over", async () => {
  await world.slapd.modify(lock("user0007"));
  gated.stopBefore("planned_from");
  const finished = startRun();
  await gated.stopped();
  // All of this is newer than the listing, in which user0007 is locked, user0008 is not, and hired is not there at all.
  await world.slapd.modify(
    add(person("hired")) +
      modify(groupDn, `add: member\nmember: ${dnOf("hired")}`) +
      unlock("user0007") +
      lock("user0008") +
      deletions(["user0009"]),
  );
  const onDemand = onDemandOf();
  expect(await signIn(onDemand, "hired")).toMatchObject({
    decision: "enroll",
    reasons: ["required-by-group:vpn"],
  });
  for (const [name, outcome] of [
    ["user0007", "unchanged"],
    ["user0008", "changed"],
    ["user0009", "not-found"],
  ] as const) {
    expect(await onDemand.refresh({ name, actor })).toMatchObject([{ outcome }]);
  }
  gated.open();
  expect(await finished).toMatchObject({
    status: "succeeded",
    notes: [],
    counts: { removed: 0, changed: 0, disabled: 0 },
  });
  const hired = await world.user("hired");
  expect([hired.state, decideRequirement(hired).requiredBy]).toEqual(["active", ["required-by-group:vpn"]]);
  expect((await world.user("user0007")).state).toBe("active");
  expect((await world.user("user0008")).state).toBe("disabled");
  // Whom the directory has lost goes with the next listing.
  expect(await world.sync()).toMatchObject({ counts: { removed: 1, added: 0, changed: 0 } });
  const { rows } = await world.database.db.raw("select from users where refreshed_at is not null");
  expect(rows).toHaveLength(0);
});

test("a sign-in is answered without the directory while a run applies its plan, and the plan is applied as it was made", async () => {
  await world.slapd.modify(deletions(["user0009"]));
  gated.stopBefore("planned_from");
  const finished = startRun();
  await gated.stopped();
  gated.open();
  // The plan is made; the first statement of its application waits.
  gated.stopBefore('select "name" from "leases"');
  await gated.stopped();
  await world.slapd.modify(add(person("hired")));
  const hurried = onDemandOf({ timeoutMs: 700 });
  const before = performance.now();
  expect(await signIn(hurried, "hired")).toMatchObject({ decision: "deny", reasons: ["user-unknown"] });
  expect(performance.now() - before).toBeLessThan(5_000);
  const waiting = onDemandOf().refresh({ name: "hired", actor });
  gated.open();
  expect(await finished).toMatchObject({ status: "succeeded", counts: { removed: 1, added: 0 } });
  expect(await waiting).toMatchObject([{ outcome: "changed" }]);
  expect(await signIn(hurried, "hired")).toMatchObject({ decision: "allow" });
});

test("what was read before a run was applied is read again, and never put over it", async () => {
  gated.stopBefore("insert into leases");
  const refreshed = onDemandOf({}, gated.db).refresh({ name: "user0008", actor });
  await gated.stopped();
  await world.slapd.modify(lock("user0008"));
  expect((await world.sync()).counts).toMatchObject({ disabled: 1 });
  gated.open();
  expect(await refreshed).toMatchObject([{ outcome: "unchanged" }]);
  expect((await world.user("user0008")).state).toBe("disabled");
});

test("what was read is not put over what another replica has read after it", async () => {
  gated.stopBefore("insert into leases");
  const refreshed = onDemandOf({}, gated.db).refresh({ name: "user0008", actor });
  await gated.stopped();
  await world.slapd.modify(lock("user0008"));
  expect(await onDemandOf().refresh({ name: "user0008", actor })).toMatchObject([{ outcome: "changed" }]);
  gated.open();
  expect(await refreshed).toMatchObject([{ outcome: "unchanged" }]);
  expect((await world.user("user0008")).state).toBe("disabled");
});

test("replicas that read one new user at once store one user", async () => {
  await world.slapd.modify(add(person("hired")));
  const replicas = Array.from({ length: 4 }, () => onDemandOf());
  const answers = await Promise.all(replicas.map((replica) => replica.refresh({ name: "hired", actor })));
  const outcomes = answers.flat().map(({ outcome }) => outcome);
  expect(outcomes.toSorted()).toEqual(["changed", "unchanged", "unchanged", "unchanged"]);
  expect((await world.users()).filter(({ username }) => username === "hired")).toHaveLength(1);
});

test("a directory that hangs delays one sign-in, by no more than the time that is set, and changes no answer", async () => {
  await world.slapd.modify(lock("user0008"));
  await world.sync();
  const sockets = new Set<{ destroy(): void }>();
  const hanging = createServer((socket) => sockets.add(socket.on("error", () => {})));
  await new Promise<void>((resolve) => hanging.listen(0, "127.0.0.1", resolve));
  try {
    const port = (hanging.address() as { port: number }).port; // a TCP server's
    const onDemand = onDemandOf({ timeoutMs: 1_000 }, world.database.db, [`ldap://127.0.0.1:${port}`]);
    const before = performance.now();
    expect(await signIn(onDemand, "nobody")).toMatchObject({ reasons: ["user-unknown"] });
    const first = performance.now() - before;
    expect(first).toBeGreaterThan(900);
    expect(first).toBeLessThan(10_000);
    // It has failed a moment ago, and nobody waits for it again so soon.
    asked.splice(0);
    for (const username of ["nobody-else", "user0008"]) await signIn(onDemand, username);
    expect(await signIn(onDemand, "user0008")).toMatchObject({ reasons: ["user-disabled"] });
    expect(await signIn(onDemand, "user0001")).toMatchObject({ decision: "allow" });
    expect(asked).not.toContain("not-found");
    expect(asked.filter((outcome) => outcome === "not-asked")).toHaveLength(3);
  } finally {
    for (const socket of sockets) socket.destroy();
    hanging.close();
  }
});

test("what a run would be held for is not done one sign-in at a time", async () => {
  world.directory.limits.newIds = { count: 1, percent: 0 };
  await world.slapd.modify(deletions(["user0001", "user0002"]));
  await world.sync();
  await world.slapd.modify(add(person("user0001") + person("user0002")));
  const onDemand = onDemandOf();
  expect(await signIn(onDemand, "user0001")).toMatchObject({ decision: "allow" });
  expect(await signIn(onDemand, "user0002")).toMatchObject({ reasons: ["user-removed"] });
  expect(await onDemand.refresh({ name: "user0002", actor })).toMatchObject([{ outcome: "held" }]);
  expect(await world.sync()).toMatchObject({
    status: "held",
    holdReasons: [{ code: "names-under-new-ids" }],
  });
});

test.each([
  { members: ["user0000", "user0001"], outcome: "succeeded" },
  { members: ["user0001"], outcome: "held" },
])(
  "a required group that is made anew with $members beside a reading of user0000: the run has $outcome, and MFA stays required",
  async ({ members, outcome }) => {
    gated.stopBefore("mfa_policy"); // the run has begun, and listed nothing yet
    const finished = startRun();
    await gated.stopped();
    const read = await onDemandOf().refresh({ name: "user0000", actor });
    expect(read).toMatchObject([{ outcome: "unchanged" }]);
    await world.slapd.modify(`dn: ${groupDn}\nchangetype: delete\n\n`);
    await world.slapd.add(
      ldifEntry(groupDn, [
        ["objectClass", "groupOfNames"],
        ["cn", "vpn"],
        ...members.map((uid) => ["member", dnOf(uid)] as const),
      ]),
    );
    gated.open();
    const { status, holdReasons, counts } = await finished;
    expect(status).toBe(outcome);
    expect(holdReasons.map(({ code }) => code)).toEqual(outcome === "held" ? ["required-group-lost"] : []);
    expect(counts?.unchanged).toBe(20 - (counts?.changed ?? 0));
    const users = await world.users();
    const required = users.filter((user) => decideRequirement(user).required).map(({ username }) => username);
    expect(required).toEqual(outcome === "held" ? ["user0000"] : members);
    expect(await world.database.db("audit_events").where({ action: "requirement-end" })).toEqual([]);
  },
);
