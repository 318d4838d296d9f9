// Rule 26: one user is read on demand, by the rules of a run, and beside a run without harm.

import pg from "pg";
import { pino } from "pino";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { systemClock } from "../../src/clock.ts";
import { createOnDemand, type OnDemand } from "../../src/sync/on-demand.ts";
import { findRun, listRuns } from "../../src/sync/sync-runs-table.ts";
import { decideRequirement } from "../../src/users/policy.ts";
import { decideSignIn } from "../../src/verification/decide-sign-in.ts";
import { createTogether } from "../../src/verification/together.ts";
import {
  deletions,
  eachTestInSyncWorld,
  people,
  person,
  rename,
  type SyncWorld,
} from "../support/sync-world.ts";

const dnOf = (uid: string, ou = "ou=people") => `uid=${uid},${ou},dc=example,dc=org`;
const groupDn = (cn: string) => `cn=${cn},ou=groups,dc=example,dc=org`;
const group = (cn: string, members: string[]) =>
  ldifEntry(groupDn(cn), [
    ["objectClass", "groupOfNames"],
    ["cn", cn],
    ...members.map((dn) => ["member", dn] as const),
  ]);
const posixGroup = (cn: string, members: string[]) =>
  ldifEntry(groupDn(cn), [
    ["objectClass", "posixGroup"],
    ["cn", cn],
    ["gidNumber", "500"],
    ...members.map((uid) => ["memberUid", uid] as const),
  ]);
const addTo = (cn: string, dn: string) =>
  `dn: ${groupDn(cn)}\nchangetype: modify\nadd: member\nmember: ${dn}\n\n`;
const add = (ldif: string) => ldif.replace(/^(dn: .*)$/gm, "$1\nchangetype: add");
const modify = (uid: string, change: string) => `dn: ${dnOf(uid)}\nchangetype: modify\n${change}\n\n`;
const actor = { name: "hr", via: "api" } as const;

let world: SyncWorld;
let onDemand: OnDemand;
let outcomes: string[];
eachTestInSyncWorld(
  {
    overlays: ["syncprov"],
    ldif:
      people(30) +
      group("staff", [dnOf("user0000")]) +
      group("outer", [groupDn("inner")]) +
      group("inner", [dnOf("user0001")]) +
      posixGroup("unix", ["user0002"]),
  },
  (fresh) => {
    world = fresh;
  },
);
const restart = (settings: Partial<SyncWorld["directory"]["onDemand"]> = {}) => {
  world.directory.onDemand = {
    enabled: true,
    timeoutMs: 40_000,
    perMinute: 60,
    unknownForMs: 60_000,
    ...settings,
  };
  const log = pino({ level: "silent" });
  const onRefreshed = (_directory: string, outcome: string) => outcomes.push(outcome);
  const deps = {
    db: world.database.db,
    log,
    clock: systemClock,
    holder: "test",
    requestId: "test",
    onRefreshed,
  };
  onDemand = createOnDemand(deps, [world.directory]);
};
beforeEach(async () => {
  outcomes = [];
  expect((await world.sync()).counts).toMatchObject({ added: 30 });
  restart();
});
afterEach(() => onDemand.stop());

const signIn = async (username: string) => {
  const { db } = world.database;
  const together = createTogether(db);
  const deps = { together, directories: world.directories, readForSignIn: onDemand.readForSignIn };
  const answer = await decideSignIn(deps, { name: { username } });
  if (answer.outcome !== "decided") throw new Error(answer.outcome);
  return answer;
};
const refresh = async (name: string) => {
  const [answer] = await onDemand.refresh({ name, actor });
  if (!answer) throw new Error("no directory");
  return answer;
};
const events = () =>
  world.database
    .db("audit_events")
    .where({ action: "user-refresh" })
    .orderBy("id")
    .select("actor", "via", "details");
const requiredBy = async (username: string) => decideRequirement(await world.user(username)).requiredBy;

test("a user who appeared a minute ago signs in by the policy, with the new-user flag (F2), as one audit event", async () => {
  Object.assign(world.mfa, { requireForNewUsers: true });
  await world.sync();
  await world.slapd.modify(add(person("fresh", { cn: "Fresh Person" })));
  expect(await signIn("Fresh")).toMatchObject({
    decision: "enroll",
    reasons: ["required-new-user"],
    user: { username: "fresh", displayName: "Fresh Person", requiredNewUser: true },
  });
  const [event] = await events();
  expect(event).toMatchObject({ actor: "sign-in", via: "sync", details: { added: 1, usernames: ["fresh"] } });
  expect(await findRun(world.database.db, event.details.runId)).toMatchObject({
    kind: "one-user",
    status: "succeeded",
    counts: { listed: 1, added: 1, removed: 0 },
    planDigest: event.details.planDigest,
  });
  // No pass over the directory, so no run in the list and none for the schedule.
  expect((await listRuns(world.database.db, { limit: 10 })).map(({ kind }) => kind)).toEqual([
    "full",
    "full",
  ]);
  expect(await world.sync()).toMatchObject({ counts: { listed: 31, unchanged: 31, added: 0, changed: 0 } });
});

test("the groups of a new user count at once, nested ones and those that list usernames as well", async () => {
  Object.assign(world.mfa, { requireForGroups: ["outer", "unix"] });
  await world.sync();
  await world.slapd.modify(add(person("inside") + person("login")));
  await world.slapd.modify(addTo("inner", dnOf("inside")));
  await world.slapd.modify(
    `dn: ${groupDn("unix")}\nchangetype: modify\nadd: memberUid\nmemberUid: login\n\n`,
  );
  expect(await signIn("inside")).toMatchObject({ decision: "enroll", reasons: ["required-by-group:outer"] });
  expect((await world.user("inside")).groups.map(({ name }) => name)).toEqual(["inner", "outer"]);
  expect(await signIn("login")).toMatchObject({ decision: "enroll", reasons: ["required-by-group:unix"] });
  expect(await world.sync()).toMatchObject({ counts: { added: 0, changed: 0 } });
  expect(await requiredBy("inside")).toEqual(["required-by-group:outer"]);
});

test("a membership read on demand ends with the next run after it has ended, even if no group has changed since the last run", async () => {
  await world.slapd.modify(add(person("guest")) + addTo("staff", dnOf("guest")));
  expect(await refresh("guest")).toMatchObject({ outcome: "changed" });
  expect((await world.user("guest")).groups.map(({ name }) => name)).toEqual(["staff"]);
  await world.slapd.modify(
    `dn: ${groupDn("staff")}\nchangetype: modify\ndelete: member\nmember: ${dnOf("guest")}\n\n`,
  );
  expect(await world.sync()).toMatchObject({ counts: { changed: 1 } });
  expect((await world.user("guest")).groups).toEqual([]);
  expect(await world.sync()).toMatchObject({ counts: { changed: 0 } });
});

test("a user in a required group that no run has found yet waits for the run", async () => {
  Object.assign(world.mfa, { requireForGroups: ["admins"] });
  await world.sync();
  await world.slapd.modify(add(person("root") + group("admins", [dnOf("root")])));
  expect(await signIn("root")).toMatchObject({ decision: "deny", reasons: ["user-unknown"] });
  expect(outcomes).toEqual(["held"]);
  await world.sync();
  expect(await signIn("root")).toMatchObject({ decision: "enroll" });
});

test("a user whose groups cannot be read is not stored", async () => {
  await world.slapd.modify(add(person("blind")));
  const { groups } = world.directory;
  if (!groups) throw new Error("no groups");
  await onDemand.stop();
  groups.bases = ["ou=nowhere,dc=example,dc=org"];
  restart();
  expect(await signIn("blind")).toMatchObject({ decision: "deny", reasons: ["user-unknown"] });
  expect(outcomes).toEqual(["failed"]);
});

test("a user who is disabled in the directory comes in disabled, and one who is enabled there again signs in", async () => {
  await onDemand.stop();
  world.directory.users.disabled = { kind: "attribute", attribute: "employeeType", values: ["locked"] };
  restart({ unknownForMs: 1 });
  await world.sync();
  await world.slapd.modify(
    add(person("frozen")) + modify("frozen", "add: employeeType\nemployeeType: locked"),
  );
  expect(await signIn("frozen")).toMatchObject({ decision: "deny", reasons: ["user-disabled"] });
  await world.slapd.modify(modify("frozen", "delete: employeeType"));
  expect(await signIn("frozen")).toMatchObject({ decision: "allow" });
  await world.slapd.modify(modify("user0005", "add: employeeType\nemployeeType: locked"));
  expect(await refresh("user0005")).toMatchObject({ outcome: "changed", counts: { disabled: 1 } });
});

test("a removed user comes back by the same directory id with the flags that it had", async () => {
  const before = await world.user("user0009");
  await world.database.db("users").where({ id: before.id }).update({ required_by_admin: true });
  const { filter } = world.directory.users;
  world.directory.users.filter = "(&(objectClass=inetOrgPerson)(!(uid=user0009)))";
  expect((await world.sync()).counts).toMatchObject({ removed: 1 });
  world.directory.users.filter = filter;
  expect(await signIn("user0009")).toMatchObject({
    decision: "enroll",
    user: { id: before.id, state: "active", requiredByAdmin: true },
  });
});

test("a new entry with a removed user's name is a new user (rule 2)", async () => {
  const before = await world.user("user0009");
  await world.database.db("users").where({ id: before.id }).update({ required_by_admin: true });
  await world.slapd.modify(deletions(["user0009"]));
  expect((await world.sync()).counts).toMatchObject({ removed: 1 });
  await world.slapd.modify(add(person("user0009")));
  const answer = await signIn("user0009");
  expect(answer).toMatchObject({ decision: "allow", user: { requiredByAdmin: null } });
  expect(answer.user?.id).not.toBe(before.id);
});

test("nobody is removed by a question, and a user whom the directory does not show stays as stored", async () => {
  await world.slapd.modify(deletions(["user0009"]));
  expect(await refresh("user0009")).toMatchObject({ outcome: "not-found" });
  expect(await signIn("user0009")).toMatchObject({ decision: "allow" });
});

test("a user is found by an alias, and a rename is taken over by the directory id", async () => {
  await onDemand.stop();
  world.directory.users.aliases = ["mail"];
  restart();
  await world.sync();
  await world.slapd.modify(add(person("aliased", { mail: "some.one@example.org" })));
  expect(await signIn("Some.One@example.org")).toMatchObject({
    decision: "allow",
    user: { username: "aliased" },
  });
  const { id } = await world.user("user0003");
  await world.slapd.modify(rename("user0003", "renamed"));
  expect(await refresh("user0003")).toMatchObject({ outcome: "changed", counts: { changed: 1 } });
  expect(await world.user("renamed")).toMatchObject({ id });
});

test("who is meant is decided by the names as a run matches them, not by the server's rules, and the domain's name is one", async () => {
  await onDemand.stop();
  world.directory.users.aliasDomain = "EXAMPLE";
  restart();
  await world.sync();
  // OpenLDAP takes any number of spaces between two words for one.
  await world.slapd.modify(add(person("two  words") + person("guest")));
  expect(await refresh("two words")).toMatchObject({ outcome: "not-found" });
  expect(await signIn("example\\Guest")).toMatchObject({ decision: "allow", user: { username: "guest" } });
});

test("a user found by an alias is skipped where another entry claims the username (rule 3)", async () => {
  await onDemand.stop();
  world.directory.users.aliases = ["mail"];
  world.directory.users.bases.push("ou=groups,dc=example,dc=org");
  restart();
  await world.sync();
  await world.slapd.modify(
    add(
      person("twin", { mail: "one@example.org" }) +
        person("twin", { mail: "other@example.org", ou: "ou=groups" }),
    ),
  );
  expect(await refresh("one@example.org")).toMatchObject({ outcome: "skipped", reasons: ["username-clash"] });
});

test("a stored group counts that does not list the user, but is the user's primary one", async () => {
  Object.assign(world.mfa, { requireForGroups: ["unix"] });
  await world.sync();
  const primary = "add: objectClass\nobjectClass: extensibleObject\n-\nadd: gidNumber\ngidNumber: 500";
  await world.slapd.modify(add(person("primary")) + modify("primary", primary));
  expect(await signIn("primary")).toMatchObject({ decision: "enroll", reasons: ["required-by-group:unix"] });
});

test("a copy that is older than the last listing adds a user, and changes none (rule 4)", async () => {
  const { db } = world.database;
  const { server_state: state } = await db("directories").first("server_state");
  await db("directories").update({ server_state: state.replace(/^\d{4}/, "2999") });
  await world.slapd.modify(
    add(person("fresh")) + modify("user0005", "replace: displayName\ndisplayName: As it once was"),
  );
  expect(await signIn("fresh")).toMatchObject({ decision: "allow" });
  expect(await refresh("user0005")).toMatchObject({ outcome: "unchanged" });
  expect(await world.user("user0005")).toMatchObject({ displayName: "user0005" });
});

test("requirements that end with a return count for the limit of the day, one user at a time as in a run (rule 27)", async () => {
  Object.assign(world.mfa, { requireForGroups: ["staff"] });
  const leavers = ["user0010", "user0011"];
  for (const uid of leavers) await world.slapd.modify(addTo("staff", dnOf(uid)));
  await world.sync();
  const { filter } = world.directory.users;
  world.directory.users.filter = "(&(objectClass=inetOrgPerson)(!(uid=user001*)))";
  world.directory.limits.removals = { count: 100, percent: 100 };
  expect((await world.sync()).counts).toMatchObject({ removed: 10 });
  for (const uid of leavers) {
    await world.slapd.modify(
      `dn: ${groupDn("staff")}\nchangetype: modify\ndelete: member\nmember: ${dnOf(uid)}\n\n`,
    );
  }
  await world.sync();
  world.directory.users.filter = filter;
  world.directory.limits.requirements = { count: 1, percent: 0 };
  expect(await refresh("user0010")).toMatchObject({ outcome: "changed", counts: { restored: 1 } });
  expect(await refresh("user0011")).toMatchObject({ outcome: "held" });
});

test("an entry that claims another user's name is skipped, as two that claim one name are (rule 3)", async () => {
  const sub = "dn: ou=sub,dc=example,dc=org\nchangetype: add\nobjectClass: organizationalUnit\nou: sub\n\n";
  world.directory.users.bases.push("ou=sub,dc=example,dc=org");
  await world.slapd.modify(sub + add(person("twin") + person("twin", { ou: "ou=sub" })));
  expect(await refresh("twin")).toMatchObject({ outcome: "skipped", reasons: ["username-clash"] });
  await world.slapd.modify(add(person("user0004", { ou: "ou=sub" })));
  const before = await world.user("user0004");
  expect(await refresh("user0004")).toMatchObject({ outcome: "unchanged" });
  expect(await world.user("user0004")).toEqual(before);
});

test("a new entry with the directory id of a user is skipped, found by a name of its own, and takes nobody's place (rule 8)", async () => {
  world.directory.users.attributes.id = "uidNumber";
  world.directory.users.filter = "(&(objectClass=inetOrgPerson)(uidNumber=*))";
  const numbered = (uid: string) =>
    `${person(uid).trimEnd()}\nobjectClass: posixAccount\nuidNumber: 7\ngidNumber: 1\nhomeDirectory: /\n\n`;
  await world.slapd.add(numbered("owner"));
  Object.assign(world.directory.limits, {
    removals: { count: 1000, percent: 100 },
    newIds: { count: 1000, percent: 100 },
  });
  expect(await world.sync()).toMatchObject({ status: "succeeded", counts: { added: 1 } });
  const { id } = await world.user("owner");
  await world.slapd.add(numbered("thief"));
  restart();
  expect(await signIn("thief")).toMatchObject({ decision: "deny", reasons: ["user-unknown"] });
  expect(await refresh("thief")).toMatchObject({ outcome: "skipped", reasons: ["id-clash"] });
  expect(await world.user("owner")).toMatchObject({ id, dn: dnOf("owner") });
});

test("of two at once the directory is asked once, and one event is left", async () => {
  await world.slapd.modify(add(person("rush")));
  const answers = await Promise.all(Array.from({ length: 50 }, () => signIn("rush")));
  expect(answers.map(({ decision }) => decision)).toEqual(Array.from({ length: 50 }, () => "allow"));
  expect(outcomes).toEqual(["changed"]);
  expect(await events()).toHaveLength(1);
});

test("ten thousand made-up names cost the directory no more questions than the rate allows, and a stored user waits for none", async () => {
  await onDemand.stop();
  restart({ perMinute: 7 });
  for (let n = 0; n < 10_000; n += 500) {
    await Promise.all(
      Array.from({ length: 500 }, (_, i) => onDemand.readForSignIn({ username: `nobody${n + i}` })),
    );
  }
  const asked = outcomes.filter((outcome) => outcome !== "not-asked");
  // What a minute allows, and one more for every ten seconds that the flood itself takes.
  expect(asked.length).toBeGreaterThanOrEqual(7);
  expect(asked.length).toBeLessThanOrEqual(14);
  expect(new Set(asked)).toEqual(new Set(["not-found"]));
  expect(await signIn("user0001")).toMatchObject({ decision: "allow" });
});

test("no statement of a reading goes through all users or all members of groups", async () => {
  const { db, config } = world.database;
  await db.raw(
    `insert into users (directory, directory_id, username, username_key, dn, dn_key, state, entry_hash, required_new_user, removed_at)
     select 'example', 'id-' || n, 'other' || n, 'other' || n, 'uid=other' || n, 'uid=other' || n,
       case when n % 2 = 0 then 'active' else 'removed' end, '', false, case when n % 2 = 1 then now() end
     from generate_series(1, 20000) n`,
  );
  await db.raw(
    `with many as (
       insert into groups (directory, directory_id, name, name_key, dn, dn_key, entry_hash)
       select 'example', 'gid-' || n, 'many' || n, 'many' || n, 'cn=many' || n, 'cn=many' || n, '' from generate_series(1, 500) n
       returning id
     )
     insert into group_members (group_id, member_key) select id, 'dn:uid=other' || n from many, generate_series(1, 40) n`,
  );
  await db.raw("analyze");
  const asked: { sql: string; bindings: unknown[] }[] = [];
  db.on("query", (query) => asked.push(query));
  await world.slapd.modify(add(person("fresh")));
  expect(await refresh("fresh")).toMatchObject({ outcome: "changed" });
  await world.slapd.modify(modify("user0003", "replace: mail\nmail: other@example.org"));
  expect(await refresh("user0003")).toMatchObject({ outcome: "changed" });
  db.removeAllListeners("query");

  if (config.kind !== "postgres") throw new Error("this is of PostgreSQL's plans");
  const client = new pg.Client({ connectionString: config.url });
  await client.connect();
  onTestFinished(() => client.end());
  const statements = asked.filter(({ sql }) => /^\s*(with|select|insert|update|delete)\b/i.test(sql));
  expect(statements.length).toBeGreaterThan(50);
  for (const { sql, bindings } of statements) {
    const { rows } = await client.query(`explain ${sql}`, bindings);
    const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
    // Whether there is a row at all is seen at the first one.
    if (/^Limit {2}\(cost=0\.00\.\.0\.\d\d rows=1 /.test(plan)) continue;
    expect(plan, `${sql}\n\n${plan}`).not.toMatch(/Seq Scan on (users|group_members)\b/);
  }
});

test("an unknown name is not asked for again for a while, but by an admin", async () => {
  expect(await signIn("later")).toMatchObject({ reasons: ["user-unknown"] });
  await world.slapd.modify(add(person("later")));
  expect(await signIn("later")).toMatchObject({ reasons: ["user-unknown"] });
  expect(outcomes).toEqual(["not-found", "not-asked"]);
  expect(await refresh("later")).toMatchObject({ outcome: "changed" });
  expect(await signIn("later")).toMatchObject({ decision: "allow" });
});
