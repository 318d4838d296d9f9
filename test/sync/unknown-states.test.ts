// What the directory does not show is never "enabled" (rule 8): hidden states, and a hidden root DSE.

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { directoryConfigFor } from "../../scripts/servers/slapd.ts";
import { emptyTables } from "../support/databases.ts";
import { openSyncWorld, people, person, type SyncWorld } from "../support/sync-world.ts";

const suffix = "dc=example,dc=org";
const guest = `cn=guest,ou=services,${suffix}`;
const reader = `cn=dirmfa,ou=services,${suffix}`;
const locked = (uid: string) => `${person(uid).trimEnd()}\npwdAccountLockedTime: 000001010000Z\n\n`;
const numbered = (uid: string, control: number) => `${person(uid).trimEnd()}\nemployeeNumber: ${control}\n\n`;

let world: SyncWorld;
let directories = 0;
beforeAll(async () => {
  world = await openSyncWorld({
    overlays: ["ppolicy"],
    // The reader may read everything below the suffix and not the root DSE; the guest the root DSE, and no state.
    globalLines: [`access to dn.base="" by dn.exact="${reader}" none by * read`],
    access: [
      "to attrs=userPassword by anonymous auth by * none",
      `to attrs=pwdAccountLockedTime,employeeNumber by dn.exact="${reader}" read by * none`,
      `to * by dn.exact="${reader}" read by dn.exact="${guest}" read by anonymous auth by * none`,
    ],
    ldif:
      people(3) +
      Array.from({ length: 6 }, (_, n) => locked(`locked${n}`)).join("") +
      numbered("enabled", 512) +
      numbered("disabled", 514) +
      ldifEntry(guest, [
        ["objectClass", "organizationalRole"],
        ["objectClass", "simpleSecurityObject"],
        ["cn", "guest"],
        ["userPassword", "a guest's"],
      ]),
  });
});
beforeEach(async () => {
  await emptyTables(world.database);
  directories += 1;
  world.directory = { ...directoryConfigFor(world.slapd), name: `d${directories}`, kind: undefined };
});
afterAll(() => world.stop());

const bindAs = {
  admin: () => ({ dn: world.slapd.adminDn, passwordSecret: world.slapd.adminPassword }),
  reader: () => ({ dn: reader, passwordSecret: world.slapd.syncPassword }),
  guest: () => ({ dn: guest, passwordSecret: "a guest's" }),
};
async function syncAs(who: keyof typeof bindAs) {
  world.directory.bind = bindAs[who]();
  return world.sync();
}
async function disabled(): Promise<string[]> {
  const { name } = world.directory;
  return world.database
    .db("users")
    .where({ directory: name, state: "disabled" })
    .orderBy("username")
    .pluck("username");
}
const sixLocked = Array.from({ length: 6 }, (_, n) => `locked${n}`);

test("a root DSE that is hidden one day leaves the directory of the kind that it was", async () => {
  await syncAs("admin");
  expect(await disabled()).toEqual(sixLocked);
  expect(await syncAs("reader")).toMatchObject({ status: "succeeded" });
  expect(await disabled()).toEqual(sixLocked);
  expect(await world.database.db("directories").where({ name: world.directory.name }).pluck("kind")).toEqual([
    "openldap",
  ]);
});

test("a first listing from a server that does not show what it is fails, and asks for the kind", async () => {
  const run = await syncAs("reader");
  expect(run).toMatchObject({ status: "failed", error: { code: "directory-access-denied" } });
  expect(run.error?.remedy).toMatch(/Set kind/);
  world.directory.kind = "openldap";
  expect(await syncAs("reader")).toMatchObject({ status: "succeeded", counts: { added: 11 } });
  expect(await disabled()).toEqual(sixLocked);
});

test("many who are enabled at once, since an optional attribute is hidden, are held", async () => {
  await syncAs("admin");
  const run = await syncAs("guest");
  expect(run).toMatchObject({ status: "held", holdReasons: [{ code: "too-many-enables" }] });
  expect(await disabled()).toEqual(sixLocked);
});

test("a hidden userAccountControl keeps the state of known users, and new ones are disabled until it can be read", async () => {
  world.directory.users.disabled = { kind: "user-account-control", attribute: "employeeNumber" };
  world.directory.users.filter = "(|(uid=enabled)(uid=disabled))";
  await syncAs("admin");
  expect(await disabled()).toEqual(["disabled"]);
  world.directory.users.filter = "(|(uid=enabled)(uid=disabled)(uid=user0001))";
  for (const _ of [1, 2]) {
    const run = await syncAs("guest");
    expect(run).toMatchObject({ status: "succeeded", notes: [{ code: "states-unknown" }] });
    expect(await disabled()).toEqual(["disabled", "user0001"]);
  }
  // Gone and back again while nothing is known of it.
  world.directory.users.filter = "(|(uid=disabled)(uid=user0001))";
  await syncAs("guest");
  world.directory.users.filter = "(|(uid=enabled)(uid=disabled)(uid=user0001))";
  expect((await syncAs("guest")).counts).toMatchObject({ restored: 1 });
  expect(await disabled()).toEqual(["disabled", "enabled", "user0001"]);
  world.directory.users.filter = "(|(uid=enabled)(uid=disabled))";
  await syncAs("admin");
  expect(await disabled()).toEqual(["disabled"]);
});
