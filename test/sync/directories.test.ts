// Directories that were renamed in the configuration or taken out of it: nobody gets in by that, and nobody loses anything.

import { describe, expect, test } from "vitest";
import { listUnconfigured, renameDirectory, retireDirectory } from "../../src/sync/rename-directory.ts";
import { applyPolicy } from "../../src/users/apply-policy.ts";
import { mfaPolicyOf } from "../../src/users/policy.ts";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import { confirmEnrollment } from "../../src/verification/confirm-enrollment.ts";
import { decideSignIn } from "../../src/verification/decide-sign-in.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { statusOf } from "../../src/verification/status-of.ts";
import { verifyCode } from "../../src/verification/verify-code.ts";
import { deletions, eachTestInSyncWorld, person, rename, type SyncWorld } from "../support/sync-world.ts";
import { openVerificationWorld, secretOf, TestClock, totpOf } from "../verification/verification-world.ts";

const team = (members: string[]) =>
  `dn: cn=team,ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: team\n${members
    .map((uid) => `member: uid=${uid},ou=people,dc=example,dc=org\n`)
    .join("")}\n`;

let world: SyncWorld;
let deps: VerificationDeps;
let anna: { id: string; secret: Buffer };
eachTestInSyncWorld(
  { ldif: ["anna", "ben", "carl"].map((uid) => person(uid)).join("") + team(["anna", "ben"]) },
  async (fresh) => {
    world = fresh;
    const verification = await openVerificationWorld(world.database);
    await world.sync();
    deps = { ...verification.deps, clock: new TestClock(), directories: world.directories };
    anna = { id: (await world.user("anna")).id, secret: await enroll("anna") };
  },
);

const actor = { name: "admin", via: "cli" } as const;
const inConfiguration = (...names: string[]) => {
  world.directories = names;
  world.directory.name = names[0] ?? "";
  deps = { ...deps, directories: names };
};
const kept = () => ({ db: world.database.db, holder: "test", directories: world.directories });
const renamed = (oldName = "example", newName = "staff") =>
  renameDirectory(kept(), { oldName, newName, actor });
const decide = (username: string, directory?: string) =>
  decideSignIn(deps, { name: { username, directory } });

async function enroll(username: string): Promise<Buffer> {
  const begun = await beginEnrollment(deps, { name: { username }, actor });
  if (begun.outcome !== "begun") throw new Error(begun.outcome);
  const secret = secretOf(begun.secretPlain);
  const totpAsTyped = totpOf(secret, deps.clock.now());
  await confirmEnrollment(deps, { name: { username }, totpAsTyped, actor });
  return secret;
}

describe("a directory that is not in the configuration", () => {
  test("lets none of its users in, under any call, and keeps what they have", async () => {
    inConfiguration("exmaple");
    const denied = { decision: "deny", reasons: ["directory-not-configured"] };
    expect(await decide("anna")).toMatchObject(denied);
    expect(await decide("ben")).toMatchObject(denied);
    const refused = { outcome: "user-not-active", state: "directory-not-configured" };
    const name = { username: "anna" };
    const codeAsTyped = totpOf(anna.secret, new Date(deps.clock.now().getTime() + 30_000));
    expect(await verifyCode(deps, { name, code: { method: "totp", codeAsTyped }, actor })).toEqual(refused);
    expect(await statusOf(deps, { name })).toEqual(refused);
    expect(await beginEnrollment(deps, { name: { username: "ben" }, actor })).toEqual(refused);
    inConfiguration("example");
    expect(await decide("anna")).toMatchObject({ decision: "challenge", user: { id: anna.id } });
  });

  test("is told of, with the number of its users", async () => {
    inConfiguration("staff");
    expect(await listUnconfigured(kept())).toEqual([{ name: "example", users: 3 }]);
  });

  test("is not imported again under another name: the first run of that is held", async () => {
    inConfiguration("staff");
    const run = await world.sync();
    expect(run).toMatchObject({
      status: "held",
      holdReasons: [{ code: "known-in-another-directory", text: expect.stringContaining("adds 3 users") }],
    });
    expect(await world.users()).toHaveLength(3);
    const approved = await world.sync({ trigger: "approval", approves: run });
    expect(approved).toMatchObject({ status: "succeeded", counts: { added: 3 } });
    // Who they are is still not decided between the two.
    expect(await decide("anna")).toMatchObject({ outcome: "username-ambiguous" });
  });
});

describe("a rename", () => {
  test("takes users, authenticators, groups, runs and the memory of the server along", async () => {
    inConfiguration("staff");
    expect(await renamed()).toEqual({ users: 3, merged: 0 });
    expect(await decide("anna")).toMatchObject({
      decision: "challenge",
      user: { id: anna.id, directory: "staff", groups: [{ name: "team" }] },
    });
    expect(await world.sync()).toMatchObject({ status: "succeeded", counts: { unchanged: 3, added: 0 } });
    const [event] = await world.database.db("audit_events").where({ action: "directory-rename" });
    expect(event).toMatchObject({
      actor: "admin",
      directory: "staff",
      details: { oldName: "example", users: 3 },
    });
  });

  test("leaves no column behind that names a directory", async () => {
    const { rows } = await world.database.db.raw(
      `select table_name, column_name from information_schema.columns
       where table_schema = 'public' and column_name like '%directory' order by 1`,
    );
    // A table that is new here belongs into moveDirectory. Audit events stay as they were written; marks are forgotten.
    expect(rows.map((row: { table_name: string }) => row.table_name)).toEqual([
      "audit_events",
      "directory_marks",
      "groups",
      "notices",
      "sync_runs",
      "users",
    ]);
  });

  test("follows a policy that came into force while the old name was not configured", async () => {
    const { db } = world.database;
    world.mfa.requireForGroups = ["team"];
    await world.sync();
    inConfiguration("staff");
    const policy = mfaPolicyOf({ ...world.mfa, requireForGroups: [] });
    await applyPolicy({ db, policy, directories: world.directories }, actor);
    expect((await world.user("ben")).requiredSince).toBeInstanceOf(Date);
    await renamed();
    expect((await world.user("ben")).requiredSince).toBeNull();
    const ended = await db("audit_events").where({ action: "requirement-end" }).orderBy("id");
    expect(ended.map(({ details }) => [details.username, details.by]).sort()).toEqual([
      ["anna", "directory-rename"],
      ["ben", "directory-rename"],
    ]);
  });

  test("makes one user of two where the new name was imported already", async () => {
    inConfiguration("staff");
    await world.sync({ trigger: "approval", approves: await world.sync() });
    // Meanwhile one has married, one has gone, one came, and who is in the team changed.
    await world.slapd.modify(rename("anna", "anna-new"));
    await world.slapd.modify(deletions(["carl"]));
    await world.slapd.add(person("dora"));
    await world.slapd.modify(
      "dn: cn=team,ou=groups,dc=example,dc=org\nchangetype: modify\nreplace: member\n" +
        "member: uid=anna-new,ou=people,dc=example,dc=org\nmember: uid=dora,ou=people,dc=example,dc=org\n\n",
    );
    expect((await world.sync()).counts).toMatchObject({ changed: 2, removed: 1, added: 1 });
    expect(await renamed()).toEqual({ users: 3, merged: 3 });
    expect(await decide("anna-new")).toMatchObject({
      decision: "challenge",
      user: { id: anna.id, groups: [{ name: "team" }] },
    });
    expect(await decide("ben")).toMatchObject({ decision: "allow", user: { groups: [] } });
    expect(await decide("dora")).toMatchObject({ user: { groups: [{ name: "team" }] } });
    expect(await decide("carl")).toMatchObject({ reasons: ["user-removed"] });
    expect((await world.sync()).counts).toMatchObject({ unchanged: 3, changed: 0, added: 0, removed: 0 });
  });

  test("changes nothing where somebody would lose an authenticator", async () => {
    inConfiguration("staff");
    await world.sync({ trigger: "approval", approves: await world.sync() });
    const before = await world.users();
    await world.database
      .db("users")
      .where({ username: "ben", directory: "staff" })
      .update({ required_by_admin: true });
    await expect(renamed()).rejects.toMatchObject({
      code: "invalid-usage",
      message: expect.stringContaining("ben"),
    });
    expect((await world.users()).map(({ id, directory }) => [id, directory])).toEqual(
      before.map(({ id, directory }) => [id, directory]),
    );
  });

  test("asks for a configuration that has the new name and not the old one, and waits for no run", async () => {
    inConfiguration("example", "staff");
    await expect(renamed()).rejects.toMatchObject({ code: "invalid-usage" });
    inConfiguration("staff");
    await expect(renamed("example", "sales")).rejects.toMatchObject({ code: "invalid-usage" });
    await expect(renamed("nobody")).rejects.toMatchObject({
      remedy: "Stored are: example.",
    });
    const started = await world.start({ dryRun: true });
    await expect(renamed()).rejects.toMatchObject({ code: "run-in-progress" });
    if (started.kind === "started") await started.finished;
  });
});

test("a retired directory's users are removed, each with an audit event, and come back with what they had", async () => {
  await expect(retireDirectory(kept(), { name: "example", actor })).rejects.toMatchObject({
    code: "invalid-usage",
  });
  inConfiguration("other");
  expect(await retireDirectory(kept(), { name: "example", actor })).toBe(3);
  expect(await decide("anna")).toMatchObject({ reasons: ["user-removed"] });
  expect(await listUnconfigured(kept())).toEqual([]);
  const events = await world.database.db("audit_events").where({ action: "user-remove" });
  expect(events.map((event) => event.details.username).sort()).toEqual(["anna", "ben", "carl"]);
  inConfiguration("example");
  expect((await world.sync()).counts).toMatchObject({ restored: 3 });
  expect(await decide("anna")).toMatchObject({ decision: "challenge", user: { id: anna.id } });
});
