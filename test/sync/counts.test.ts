// The counts of a run add up: every listed entry is counted once, and what is told of it to people is all of it.

import { expect, test } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { probeListing } from "../../src/directory/probe/probe-listing.ts";
import { runCommand } from "../support/command.ts";
import { createInstallation } from "../support/installation.ts";
import {
  deletions,
  eachTestInSyncWorld,
  people,
  person,
  rename,
  type SyncWorld,
} from "../support/sync-world.ts";

const dnOf = (uid: string) => `uid=${uid},ou=people,dc=example,dc=org`;
const group = (cn: string, uids: string[]) =>
  ldifEntry(`cn=${cn},ou=groups,dc=example,dc=org`, [
    ["objectClass", "groupOfNames"],
    ["cn", cn],
    ...uids.map((uid) => ["member", dnOf(uid)] as [string, string]),
  ]);

let world: SyncWorld;
eachTestInSyncWorld(
  { ldif: people(20) + group("sales", ["user0001", "user0002", "user0003"]) + group("vpn", ["user0004"]) },
  (fresh) => {
    world = fresh;
    return world.sync();
  },
);

test("a user whose groups changed is not unchanged too, and the groups left are shown", async () => {
  const change = (dn: string, lines: string) => `dn: ${dn}\nchangetype: modify\n${lines}\n\n`;
  await world.slapd.modify(
    change("cn=sales,ou=groups,dc=example,dc=org", `delete: member\nmember: ${dnOf("user0001")}`) +
      change("cn=vpn,ou=groups,dc=example,dc=org", `add: member\nmember: ${dnOf("user0002")}`) +
      rename("user0003", "married") +
      deletions(["user0010"]),
  );
  await world.slapd.add(person("hired") + person("nobody", { rdn: "cn=nobody", cn: "user0005" }));
  const run = await world.sync();
  const { listed, removed, ...others } = run.counts ?? { listed: 0, removed: 0 };
  expect(run.counts).toMatchObject({ listed: 21, unchanged: 16, changed: 3, removed: 1 });
  expect(Object.values(others).reduce((sum, count) => sum + count, 0)).toBe(listed);

  const installation = await createInstallation({ slapd: world.slapd, database: world.database.config });
  const { stdout } = await runCommand("--config", installation.configPath, "run", "show", run.id);
  expect(stdout).toMatch(/^change +user0001 +groups-changed \(left sales\) /m);
  expect(stdout).toMatch(/^change +user0002 +groups-changed \(joined vpn\) /m);
  await installation.remove();
});

test("check counts clashing names as a run does", async () => {
  const twin = (cn: string) => person("twin", { rdn: `cn=${cn}`, cn });
  await world.slapd.add(["one", "two", "three"].map(twin).join(""));
  const run = await world.sync();
  expect(run.counts).toMatchObject({ skipped: 3 });
  const probe = await probeListing(world.directory, world.slapd.url, new AbortController().signal);
  expect(probe.warnings.map(({ message }) => message).join("\n")).toContain(
    "3 entries have a username that another of them has too (twin)",
  );
});

test("check tells two entries with one directory id from one entry below two bases", async () => {
  world.directory.users.attributes.id = "employeeNumber";
  const numbered = (uid: string) => `${person(uid).trimEnd()}\nemployeeNumber: 7\n\n`;
  const warnings = async () => {
    const probe = await probeListing(world.directory, world.slapd.url, new AbortController().signal);
    return probe.warnings.map(({ message }) => message).join("\n");
  };
  const twoDns = "1 entries have the directory id of an entry with another DN";
  await world.slapd.add(numbered("ada"));
  world.directory.users.bases.push(dnOf("ada"));
  expect(await warnings()).toContain("1 entries were listed more than once, since bases overlap");
  expect(await warnings()).not.toContain(twoDns);
  world.directory.users.bases.pop();
  await world.slapd.add(numbered("ben"));
  expect(await warnings()).toContain(twoDns);
  expect(await warnings()).not.toContain("more than once");
});
