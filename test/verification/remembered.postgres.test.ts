// Rule 33: a code that is compared with a remembered authenticator is answered as if nothing were remembered, whatever has happened to
// the user since. Each test makes a replica remember, changes what is stored, and asks.

import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { generateKey, rotateKeys } from "../../src/sealing/rotate-keys.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { createTogether } from "../../src/verification/together.ts";
import { verifyCode } from "../../src/verification/verify-code.ts";
import { createSubjects, type Subject } from "./interleaved-flows.ts";
import { admin, caller, eachTestInVerificationWorld, type VerificationWorld } from "./verification-world.ts";

let world: VerificationWorld;
eachTestInVerificationWorld((it) => {
  world = it;
});

type Row = Record<string, unknown>;

const table = (name: string) => world.database.db(name);
const codeOf = ({ active }: Subject) => world.codeOf(active);

async function enrolled(count: number): Promise<Subject[]> {
  return createSubjects(world, "enrolled", count);
}

async function enrolledUser(): Promise<Subject> {
  const [user] = await enrolled(1);
  if (!user) throw new Error("one user");
  return user;
}

/** As a decision a moment ago leaves it. */
const remember = ({ username }: Subject, deps = world.deps) => deps.together.findStanding({ username });

const verify = (
  username: string,
  codeAsTyped: string,
  { deps = world.deps, directory }: { deps?: VerificationDeps; directory?: string } = {},
) =>
  verifyCode(deps, {
    name: { username, directory },
    code: { method: "totp", codeAsTyped },
    actor: caller,
  });

const signIns = async ({ id }: Subject) =>
  (await world.events(id)).filter(({ action }) => action === "verification" || action === "seal-broken");

/** A replica that would fail if it had to look the user up. */
function lookingNothingUp(): VerificationDeps {
  const findStanding = () => Promise.reject(new Error("looked up"));
  return { ...world.deps, together: { ...world.deps.together, findStanding } };
}

test("a code of a remembered user takes no look-up, and is spent, counted and audited as ever", async () => {
  const user = await enrolledUser();
  await remember(user);
  const deps = lookingNothingUp();
  await expect(
    verify(user.username, codeOf(user), { deps: { ...deps, together: fresh() } }),
  ).rejects.toThrow();
  const wrong = world.wrongCodeOf(user.active);
  expect(await verify(user.username, wrong, { deps })).toEqual({ outcome: "code-rejected" });
  expect(await verify(user.username, codeOf(user), { deps })).toMatchObject({
    outcome: "accepted",
    method: "totp",
    user: { id: user.id, username: user.username, directory: "main", groups: [] },
    backupCodesRemaining: 2,
  });
  expect(await verify(user.username, codeOf(user), { deps })).toEqual({ outcome: "code-rejected" });
  expect((await signIns(user)).map(({ outcome }) => outcome)).toEqual([
    "wrong-code",
    "accepted",
    "already-spent",
  ]);
  function fresh() {
    return { ...createTogether(world.database.db), findStanding: deps.together.findStanding };
  }
});

test("wrong codes lock a remembered user out, and what the lockout refuses is counted", async () => {
  const user = await enrolledUser();
  await remember(user);
  const deps = lookingNothingUp();
  const wrong = world.wrongCodeOf(user.active);
  // One failure is there already, and five are the limit.
  for (let failures = 1; failures < 5; failures++) await verify(user.username, wrong, { deps });
  expect(await verify(user.username, codeOf(user), { deps })).toMatchObject({ outcome: "locked-out" });
  const [row] = await table("lockouts").where({ user_id: user.id, method: "totp" });
  expect(row).toMatchObject({ level: 1, refused: 1 });
});

const changes: [string, (user: Subject, other: Subject) => Promise<unknown>, Row][] = [
  [
    "was disabled in the directory",
    ({ id }) => table("users").where({ id }).update({ state: "disabled" }),
    { outcome: "user-not-active", state: "disabled" },
  ],
  [
    "was removed",
    ({ id }) => table("users").where({ id }).update({ state: "removed", removed_at: new Date() }),
    { outcome: "user-not-active", state: "removed" },
  ],
  ["was purged", ({ id }) => table("users").where({ id }).delete(), { outcome: "user-unknown" }],
  [
    "has another name now, and nobody has the old one",
    ({ id }) => table("users").where({ id }).update({ username: "new", username_key: "new" }),
    { outcome: "user-unknown" },
  ],
  [
    "has given the name to another user",
    async ({ id, username }, other) => {
      await table("users").where({ id }).update({ username: "new", username_key: "new" });
      await table("users").where({ id: other.id }).update({ username, username_key: username });
    },
    { outcome: "code-rejected" },
  ],
  [
    "has a namesake in another directory",
    ({ username }) => world.addUser({ username, directory: "north" }),
    { outcome: "username-ambiguous", directories: ["main", "north"] },
  ],
  [
    "has a name that is an alias of somebody in another directory",
    async ({ username }) => {
      const { id } = await world.addUser({ directory: "north" });
      await table("user_aliases").insert({ alias_key: username, user_id: id });
    },
    { outcome: "username-ambiguous", directories: ["main", "north"] },
  ],
  [
    "is of a directory that is configured no more",
    ({ id }) => table("users").where({ id }).update({ directory: "gone" }),
    { outcome: "user-not-active", state: "directory-not-configured" },
  ],
  [
    "has ended MFA",
    ({ id }) => table("authenticators").where({ user_id: id }).delete(),
    { outcome: "not-enrolled" },
  ],
  [
    "has the secret of another user in the row",
    async ({ active }, other) => {
      const [row] = await table("authenticators").where({ id: other.active.id });
      await table("authenticators").where({ id: active.id }).update({ sealed: row.sealed });
    },
    { outcome: "secret-unreadable", reason: "changed" },
  ],
  [
    "has replaced the authenticator",
    async (user, other) => {
      const [row] = await table("authenticators").where({ id: other.active.id });
      await table("authenticators").where({ user_id: user.id }).delete();
      // Sealed for the other user: that it is opened at all shows which one was looked at.
      await table("authenticators").insert({ ...row, id: crypto.randomUUID(), user_id: user.id });
      await table("backup_code_sets").where({ authenticator_id: user.active.id }).delete();
    },
    { outcome: "secret-unreadable", reason: "changed" },
  ],
];

for (const [what, change, answer] of changes) {
  test(`a remembered user who ${what} is answered as by a replica that remembers nothing`, async () => {
    const [user, other] = await enrolled(2);
    if (!user || !other) throw new Error("two users");
    await remember(user);
    const code = codeOf(user);
    await change(user, other);
    expect(await verify(user.username, code)).toEqual(answer);
    const nothing = { ...world.deps, together: createTogether(world.database.db) };
    expect(await verify(user.username, code, { deps: nothing })).toEqual(answer);
  });
}

test("a remembered secret that a key rotation has sealed anew is still the user's", async () => {
  const user = await enrolledUser();
  await remember(user);
  const { db } = world.database;
  const deps = { db, folder: world.folder, log: world.deps.log, randomBytes };
  await generateKey({ ...deps, clock: world.clock });
  await rotateKeys(deps, { to: undefined, actor: admin });
  expect(await verify(user.username, codeOf(user))).toMatchObject({ outcome: "accepted" });
});

test("groups and backup codes are those of the moment of the code", async () => {
  const user = await enrolledUser();
  await remember(user);
  const group = { directory: "main", directory_id: "g", name: "Ops", name_key: "ops" };
  const [{ id }] = await table("groups")
    .insert({ ...group, dn: "cn=Ops", dn_key: "cn=ops", entry_hash: "-" })
    .returning("id");
  await table("user_groups").insert({ user_id: user.id, group_id: id });
  await table("backup_codes").where({ set_id: user.setId, position: 0 }).update({ spent_at: new Date() });
  expect(await verify(user.username, codeOf(user), { deps: lookingNothingUp() })).toMatchObject({
    outcome: "accepted",
    user: { groups: [{ name: "Ops" }] },
    backupCodesRemaining: 1,
  });
});

test("an alias is remembered too, and a directory that is named", async () => {
  const user = await enrolledUser();
  await table("user_aliases").insert({ alias_key: "alias@example.org", user_id: user.id });
  await world.deps.together.findStanding({ username: "alias@example.org" });
  const deps = lookingNothingUp();
  expect(await verify("Alias@Example.org", codeOf(user), { deps })).toMatchObject({ outcome: "accepted" });
  await world.deps.together.findStanding({ username: user.username, directory: "main" });
  expect(await verify(user.username, codeOf(user), { deps, directory: "main" })).toEqual({
    outcome: "code-rejected",
  });
});

test("of 200 equal codes over three replicas that remember the user one is accepted, every time", async () => {
  const replicas = [world.deps, await world.replica(), await world.replica()];
  for (const user of await enrolled(5)) {
    for (const deps of replicas) await remember(user, deps);
    const code = codeOf(user);
    const answers = Array.from({ length: 200 }, (_, index) =>
      verify(user.username, code, { deps: replicas[index % 3] ?? world.deps }),
    );
    const outcomes = (await Promise.all(answers)).map(({ outcome }) => outcome);
    expect(outcomes.filter((outcome) => outcome === "accepted")).toHaveLength(1);
    const events = await signIns(user);
    expect(events).toHaveLength(200);
    expect(events.filter(({ outcome }) => outcome === "accepted")).toHaveLength(1);
  }
});
