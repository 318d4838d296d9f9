// The conformance suite on OpenLDAP, and what is OpenLDAP's own.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { change, startOpenLdap } from "../../scripts/servers/directory-under-test.ts";
import { run } from "../../scripts/servers/ldap-tools.ts";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { startSlapd } from "../../scripts/servers/slapd.ts";
import { collect, failureOf } from "../directory/listing.ts";
import { openSyncedStore, type SyncedStore } from "../support/sync-world.ts";
import { conformance, deleteBelow, organizationalUnit } from "./conformance.ts";

const policyDn = "cn=policy,ou=services,dc=example,dc=org";

describe("OpenLDAP", () => {
  const server = conformance(() =>
    startOpenLdap({
      overlays: ["ppolicy", "memberof", "dynlist", "syncprov"],
      ldif: ldifEntry(policyDn, [
        ["objectClass", "applicationProcess"],
        ["objectClass", "pwdPolicy"],
        ["cn", "policy"],
        ["pwdAttribute", "userPassword"],
        ["pwdLockout", "TRUE"],
        ["pwdMaxFailure", "2"],
        ["pwdLockoutDuration", "3600"],
        ["pwdMustChange", "TRUE"],
      ]),
    }),
  );

  describe("what is OpenLDAP's own", () => {
    let unit: string;
    let store: SyncedStore;
    beforeEach(async () => {
      unit = `ou=own,${server().suffix}`;
      const people = ["anna", "ben"].map((name) => server().person(name, unit));
      await server().add(organizationalUnit(unit) + people.join(""));
      store = await openSyncedStore(server().directoryFor({ users: unit, groups: unit }));
    });
    afterEach(async () => {
      await store.stop();
      await deleteBelow(server(), unit);
    });

    const dnOf = (name: string) => `uid=${name},${unit}`;
    const groupsOf = async (name: string) => (await store.user(name)).groups.map((group) => group.name);
    const names = async () =>
      (await store.users()).filter((user) => user.state === "active").map((user) => user.username);
    const setPassword = (name: string, password: string) =>
      server().modify(
        change(
          dnOf(name),
          "replace: userPassword",
          `userPassword: ${password}`,
          "-",
          "replace: pwdPolicySubentry",
          `pwdPolicySubentry: ${policyDn}`,
        ),
      );

    test("ppolicy's pause after wrong passwords disables nobody and is no change; an admin's lock disables", async () => {
      await setPassword("anna", "right");
      await store.sync();
      const wrong = ["-x", "-H", server().url, "-D", dnOf("anna"), "-w", "wrong"];
      for (let tries = 0; tries < 3; tries += 1) await run("ldapwhoami", wrong).catch(() => undefined);
      const [anna] = await server().search("(uid=anna)", ["pwdAccountLockedTime"]);
      expect(anna?.attributes.pwdAccountLockedTime?.[0]).toMatch(/^20/);
      expect((await store.sync()).counts).toMatchObject({ unchanged: 2 });
      expect(await names()).toEqual(["anna", "ben"]);
      await server().modify(
        change(dnOf("anna"), "replace: pwdAccountLockedTime", "pwdAccountLockedTime: 000001010000Z"),
      );
      expect((await store.sync()).counts).toMatchObject({ disabled: 1 });
    });

    test("a filter on memberOf follows the group, although the overlay does not touch the user's entry", async () => {
      await server().add(server().group("staff", unit, [dnOf("anna"), dnOf("ben")]));
      store.directory.users.filter = `(memberOf=cn=staff,${unit})`;
      await store.sync();
      expect(await names()).toEqual(["anna", "ben"]);
      await server().modify(change(`cn=staff,${unit}`, "delete: member", `member: ${dnOf("ben")}`));
      expect((await store.sync()).counts).toMatchObject({ removed: 1 });
      expect(await names()).toEqual(["anna"]);
    });

    test("a dynlist group has the members that its URL finds at the moment of the listing", async () => {
      await server().add(
        ldifEntry(`cn=dynamic,${unit}`, [
          ["objectClass", "groupOfURLs"],
          ["cn", "dynamic"],
          ["memberURL", `ldap:///${unit}??sub?(uid=a*)`],
        ]),
      );
      if (store.directory.groups) store.directory.groups.filter = "(objectClass=groupOfURLs)";
      await store.sync();
      expect([await groupsOf("anna"), await groupsOf("ben")]).toEqual([["dynamic"], []]);
      await server().add(server().person("abel", unit));
      await store.sync();
      expect(await groupsOf("abel")).toEqual(["dynamic"]);
    });

    test("a posixGroup has whom it lists by name, and whose gidNumber it is", async () => {
      const posixGroup = (cn: string, gid: string, ...members: string[]) =>
        ldifEntry(`cn=${cn},${unit}`, [
          ["objectClass", "posixGroup"],
          ["cn", cn],
          ["gidNumber", gid],
          ...members.map((member) => ["memberUid", member] as const),
        ]);
      await server().add(posixGroup("users", "100") + posixGroup("wheel", "10", "ANNA"));
      await server().modify(
        change(
          dnOf("ben"),
          "add: objectClass",
          "objectClass: posixAccount",
          "-",
          "add: uidNumber",
          "uidNumber: 1",
          "-",
          "add: gidNumber",
          "gidNumber: 100",
          "-",
          "add: homeDirectory",
          "homeDirectory: /",
        ),
      );
      await store.sync();
      expect([await groupsOf("anna"), await groupsOf("ben")]).toEqual([["wheel"], ["users"]]);
      await server().modify(change(dnOf("ben"), "replace: gidNumber", "gidNumber: 10"));
      const changed = await store.sync();
      expect((await store.changes(changed))[0]?.reasons).toEqual(["primary-group-changed", "groups-changed"]);
      expect(await groupsOf("ben")).toEqual(["wheel"]);
    });

    test("a referral in the base is noted, and an alias is nobody", async () => {
      await server().add(
        ldifEntry(`ou=abroad,${unit}`, [
          ["objectClass", "referral"],
          ["objectClass", "extensibleObject"],
          ["ou", "abroad"],
          ["ref", "ldap://elsewhere.invalid/ou=abroad"],
        ]) +
          ldifEntry(`uid=alias,${unit}`, [
            ["objectClass", "alias"],
            ["objectClass", "extensibleObject"],
            ["uid", "alias"],
            ["aliasedObjectName", dnOf("anna")],
          ]),
      );
      const { usernames, notes } = await collect(store.directory);
      expect(usernames.sort()).toEqual(["anna", "ben"]);
      expect(notes.map((note) => note.fields.uris).join()).toContain("ldap://elsewhere.invalid/");
      await server()
        .modify(`dn: ou=abroad,${unit}\nchangetype: delete\n\n`)
        .catch(() => undefined);
      await run("ldapdelete", [
        "-x",
        "-M",
        "-H",
        server().url,
        "-D",
        server().adminDn,
        "-y",
        server().adminPasswordFile,
        `ou=abroad,${unit}`,
      ]);
    });

    test("a bind DN whose password must be changed is told apart from a wrong one", async () => {
      await setPassword("ben", "right");
      await server().modify(change(dnOf("ben"), "replace: pwdReset", "pwdReset: TRUE"));
      store.directory.bind = { dn: dnOf("ben"), passwordSecret: "right" };
      expect((await failureOf(collect(store.directory))).code).toBe("directory-password-expired");
      store.directory.bind = { dn: dnOf("ben"), passwordSecret: "wrong" };
      expect((await failureOf(collect(store.directory))).code).toBe("directory-bind-refused");
    });
  });

  test.each([
    ["size.hard=5 size.prtotal=5", "directory-size-limit"],
    ["size.prtotal=disabled", "directory-paging-refused"],
    ["size.pr=3", "directory-paging-refused"],
    ["size.unchecked=5", "directory-admin-limit"],
    ["size=5 size.prtotal=unlimited", undefined],
  ])("of the limits of an identity, %s is told as %s", async (limits, code) => {
    const people = Array.from({ length: 12 }, (_, number) =>
      server().person(`user${number}`, "ou=people,dc=example,dc=org"),
    );
    const slapd = await startSlapd({
      ldif: people.join(""),
      limits: [`dn.exact="cn=dirmfa,ou=services,dc=example,dc=org" ${limits}`],
    });
    try {
      const directory = server().directoryFor({
        users: "ou=people,dc=example,dc=org",
        groups: "ou=groups,dc=example,dc=org",
      });
      const bind = { dn: slapd.syncDn, passwordSecret: slapd.syncPassword };
      const listing = collect({
        ...directory,
        urls: [slapd.url],
        bind,
        limits: { ...directory.limits, pageSize: 4 },
      });
      if (code === undefined) expect((await listing).usernames).toHaveLength(12);
      else expect(await failureOf(listing)).toMatchObject({ code });
    } finally {
      await slapd.stop();
    }
  });
});
