// F2, F4 and the new-user flag, which is decided once (rules 12 and 13).

import { expect, test } from "vitest";
import { decideRequirement } from "../../src/users/policy.ts";
import { eachTestInSyncWorld, people, person, type SyncWorld } from "../support/sync-world.ts";

let world: SyncWorld;
eachTestInSyncWorld({ ldif: people(3) }, (fresh) => {
  world = fresh;
});

const requiredBy = async (username: string) => decideRequirement(await world.user(username)).requiredBy;

test("with the flag on, the first import marks everybody", async () => {
  world.mfa.requireForNewUsers = true;
  await world.sync();
  expect(await requiredBy("user0000")).toEqual(["required-new-user"]);
});

test("an exempt initial import marks nobody, and the next new user is marked", async () => {
  Object.assign(world.mfa, { requireForNewUsers: true, initialImport: "exempt" });
  await world.sync();
  await world.slapd.add(person("hired"));
  await world.sync();
  expect(await requiredBy("user0000")).toEqual([]);
  expect(await requiredBy("hired")).toEqual(["required-new-user"]);
});

test("turning the flag on or off later changes no known user", async () => {
  await world.sync();
  world.mfa.requireForNewUsers = true;
  await world.slapd.add(person("hired"));
  await world.sync();
  world.mfa.requireForNewUsers = false;
  await world.sync();
  expect(await requiredBy("user0001")).toEqual([]);
  expect(await requiredBy("hired")).toEqual(["required-new-user"]);
});

test("a sync never overwrites what an admin set or cleared", async () => {
  world.mfa.requireForNewUsers = true;
  await world.sync();
  const { db } = world.database;
  await db("users").where({ username: "user0000" }).update({ required_by_admin: false });
  await db("users").where({ username: "user0001" }).update({ required_by_admin: true });
  await world.slapd.modify(
    ["user0000", "user0001"]
      .map(
        (uid) => `dn: uid=${uid},ou=people,dc=example,dc=org\nchangetype: modify\nreplace: cn\ncn: New\n\n`,
      )
      .join(""),
  );
  expect((await world.sync()).counts).toMatchObject({ changed: 2 });
  expect(await requiredBy("user0000")).toEqual([]);
  expect(await requiredBy("user0001")).toEqual(["required-new-user", "required-by-admin"]);
});

test("the enrollment deadline is fixed when the requirement begins, and later runs do not move it", async () => {
  Object.assign(world.mfa, { requireForNewUsers: true, enrollmentGraceMs: 3_600_000 });
  await world.sync();
  const before = await world.user("user0000");
  const grace = (before.enrollmentDeadline?.getTime() ?? 0) - (before.requiredSince?.getTime() ?? 0);
  expect(grace).toBe(3_600_000);
  world.mfa.enrollmentGraceMs = 7_200_000;
  await world.slapd.add(person("hired"));
  await world.sync();
  expect((await world.user("user0000")).enrollmentDeadline).toEqual(before.enrollmentDeadline);
});
