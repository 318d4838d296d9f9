// Sign-in names beside the username (rule 3).

import { expect, test } from "vitest";
import { findUserByName } from "../../src/users/users-table.ts";
import { deletions, eachTestInSyncWorld, person, type SyncWorld } from "../support/sync-world.ts";

let world: SyncWorld;
eachTestInSyncWorld(
  { ldif: person("anna") + person("ben", { mail: "shared@example.org" }) },
  async (fresh) => {
    world = fresh;
    world.directory.users.aliases = ["mail"];
    world.directory.users.aliasDomain = "EXAMPLE";
    await world.sync();
  },
);

async function whoIs(username: string): Promise<string> {
  const match = await findUserByName(world.database.db, { username });
  return match.kind === "user" ? match.user.username : match.kind;
}

test("a user is found by alias attribute and by DOMAIN\\name, in any case", async () => {
  expect(await whoIs("Anna@Example.org")).toBe("anna");
  expect(await whoIs("example\\ANNA")).toBe("anna");
});

test("an alias that a second user gets matches neither, and the first again when the second has left", async () => {
  expect(await whoIs("shared@example.org")).toBe("ben");
  await world.slapd.add(person("cleo", { mail: "shared@example.org" }));
  await world.sync();
  expect(await whoIs("shared@example.org")).toBe("unknown");
  await world.slapd.modify(deletions(["cleo"]));
  await world.sync();
  expect(await whoIs("shared@example.org")).toBe("ben");
});

test("a changed alias is found, and the old one is not", async () => {
  await world.slapd.modify(
    "dn: uid=anna,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: mail\nmail: a.new@example.org\n\n",
  );
  const run = await world.sync();
  expect((await world.changes(run))[0]?.reasons).toEqual(["email-changed", "aliases-changed"]);
  expect(await whoIs("a.new@example.org")).toBe("anna");
  expect(await whoIs("anna@example.org")).toBe("unknown");
});

test("other aliases in the configuration count with the next run, though no entry has changed", async () => {
  Object.assign(world.directory.users, { aliases: [], aliasDomain: undefined });
  await world.sync();
  expect(await whoIs("anna@example.org")).toBe("unknown");
  world.directory.users.aliases = ["mail"];
  await world.sync();
  expect(await whoIs("anna@example.org")).toBe("anna");
});

test("somebody's username is never taken over by another one's alias", async () => {
  await world.slapd.add(person("anna@example.org", { mail: "x@example.org", rdn: "cn=real", cn: "real" }));
  await world.sync();
  expect(await whoIs("anna@example.org")).toBe("anna@example.org");
});
