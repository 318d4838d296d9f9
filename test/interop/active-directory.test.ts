// The conformance suite on a Samba AD domain controller, and what is Active Directory's own.

import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { adPerson, change, startActiveDirectory } from "../../scripts/servers/directory-under-test.ts";
import { account } from "../../scripts/servers/samba.ts";
import { collect, failureOf } from "../directory/listing.ts";
import { openSyncedStore, type SyncedStore } from "../support/sync-world.ts";
import { conformance, deleteBelow, organizationalUnit } from "./conformance.ts";

// schemaIDGUID of userAccountControl ([MS-ADA3] 2.342)
const userAccountControlId = "bf967a68-0de6-11d0-a285-00aa003049e2";

describe("Samba", () => {
  const server = conformance(startActiveDirectory);

  describe("what is Active Directory's own", () => {
    let unit: string;
    let store: SyncedStore;
    beforeEach(async () => {
      unit = `ou=own,${server().suffix}`;
      await server().add(organizationalUnit(unit));
      await server().add(adPerson("anna", unit) + adPerson("ben", unit));
      store = await openSyncedStore(server().directoryFor({ users: unit, groups: unit }));
    });
    afterEach(async () => {
      await store.stop();
      await deleteBelow(server(), unit);
    });

    const dnOf = (name: string) => `cn=${name},${unit}`;
    const groupsOf = async (name: string) => (await store.user(name)).groups.map((group) => group.name);
    const stateOf = async (name: string) => (await store.user(name)).state;

    // 100 ns since 1601
    const fileTime = (time: Date) => String((BigInt(time.getTime()) + 11_644_473_600_000n) * 10_000n);
    const expire = (name: string, time: string) =>
      server().modify(change(dnOf(name), "replace: accountExpires", `accountExpires: ${time}`));

    test("an account that expires is disabled from then on, although its entry does not change", async () => {
      await expire("anna", fileTime(new Date(Date.now() - 86_400_000)));
      await expire("ben", fileTime(new Date(Date.now() + 4_000)));
      const usn = async () =>
        (await server().search("(cn=ben)", ["uSNChanged"]))[0]?.attributes.uSNChanged?.[0];
      const before = await usn();
      await store.sync();
      expect([await stateOf("anna"), await stateOf("ben")]).toEqual(["disabled", "active"]);
      await sleep(5_000); // the server's clock has full seconds
      const run = await store.sync();
      expect(run.counts).toMatchObject({ disabled: 1, unchanged: 1 });
      expect(await stateOf("ben")).toBe("disabled");
      expect(await usn()).toBe(before);
      await expire("ben", "0");
      await store.sync();
      expect(await stateOf("ben")).toBe("active");
    });

    test("a userAccountControl that an access rule hides enables nobody, and a new user is disabled until it can be read", async () => {
      await server().modify(server().lock(dnOf("ben")));
      await store.sync();
      expect([await stateOf("anna"), await stateOf("ben")]).toEqual(["active", "disabled"]);
      await server().hideAttribute(unit, userAccountControlId);
      await server().add(adPerson("cleo", unit));
      // By what else the entry says, so that it is looked at again.
      await server().modify(change(dnOf("ben"), "replace: displayName", "displayName: Ben B."));
      for (const counts of [{ added: 1, removed: 0 }, { unchanged: 3 }]) {
        const run = await store.sync();
        expect(run).toMatchObject({ status: "succeeded", notes: [{ code: "states-unknown" }], counts });
        const states = await Promise.all(["anna", "ben", "cleo"].map(stateOf));
        expect(states).toEqual(["active", "disabled", "disabled"]);
      }
      expect(await store.user("ben")).toMatchObject({ displayName: "Ben B." });
    });

    test("the primary group has its users, which it does not list", async () => {
      const bases = [unit, `CN=Users,${server().suffix}`];
      store.directory.groups = store.directory.groups && { ...store.directory.groups, bases };
      await server().add(server().group("staff", unit, [dnOf("anna")]));
      await store.sync();
      expect(await groupsOf("ben")).toEqual(["Domain Users"]);
      expect(await groupsOf("anna")).toEqual(["Domain Users", "staff"]);
    });

    test("a user whose primary group changes is in the new one, and in the old one that now lists it", async () => {
      await server().add(server().group("staff", unit, [dnOf("anna")]));
      await store.sync();
      expect(await groupsOf("anna")).toEqual(["staff"]);
      const [group] = await server().search("(cn=staff)", ["objectSid", "primaryGroupToken"]);
      const rid = group?.attributes.primaryGroupToken?.[0];
      await server().modify(change(dnOf("anna"), "replace: primaryGroupID", `primaryGroupID: ${rid}`));
      const [after] = await server().search("(cn=staff)", ["member"]);
      expect(after?.attributes.member).toBeUndefined();
      const run = await store.sync();
      expect((await store.changes(run)).map(({ reasons }) => reasons)).toEqual([["primary-group-changed"]]);
      expect(await groupsOf("anna")).toEqual(["staff"]);
      // A group that is somebody's primary group cannot be deleted.
      await server().modify(change(dnOf("anna"), "replace: primaryGroupID", "primaryGroupID: 513"));
    });

    test("the in-chain filter narrows the users to those of a group, nested ones included", async () => {
      await server().add(server().group("inner", unit, [dnOf("anna")]));
      await server().add(server().group("outer", unit, [dnOf("inner")]));
      store.directory.users.filter = `(&(objectCategory=person)(memberOf:1.2.840.113556.1.4.1941:=${dnOf("outer")}))`;
      await store.sync();
      expect((await store.users()).map((user) => user.username)).toEqual(["anna"]);
    });

    test("at the domain's root, computers and service accounts are left out, and other partitions are not followed", async () => {
      await server().add(
        `dn: cn=laptop,${unit}\nobjectClass: computer\nsAMAccountName: laptop$\nuserAccountControl: 4128\n\n` +
          `dn: cn=backup,${unit}\nobjectClass: msDS-ManagedServiceAccount\nsAMAccountName: backup$\n\n`,
      );
      const { usernames, notes, groups } = await collect(
        server().directoryFor({ users: server().suffix, groups: server().suffix }),
      );
      expect(usernames.sort()).toEqual([
        "Administrator",
        "Guest",
        "anna",
        "ben",
        "dirmfa",
        "dns-dc1",
        "krbtgt",
      ]);
      expect(groups).toContain("Domain Admins");
      expect(notes.map((note) => note.fields.uris).join(" ")).toMatch(/ldaps?:\/\/.*CN=Configuration/);
    });

    test("userPrincipalName and DOMAIN\\name are sign-in names too", async () => {
      const upn = "userPrincipalName: Anna.Smith@ad.example.org";
      await server().modify(change(dnOf("anna"), "replace: userPrincipalName", upn));
      store.directory.users.aliases = ["userPrincipalName"];
      store.directory.users.aliasDomain = server().domain;
      await store.sync();
      expect((await store.user("anna.smith@AD.example.org")).username).toBe("anna");
      expect((await store.user("example\\ANNA")).username).toBe("anna");
    });

    test("the bind name may be a DN, user@domain or DOMAIN\\user", async () => {
      const { syncDn, syncPassword, domain } = server();
      for (const dn of [syncDn, "dirmfa@ad.example.org", `${domain}\\dirmfa`]) {
        store.directory.bind = { dn, passwordSecret: syncPassword };
        expect((await collect(store.directory)).usernames, dn).toHaveLength(2);
      }
    });

    test("the server is known by its NTDS settings and invocation id, and by how far its copy has got", async () => {
      const { identity, state } = (await collect(store.directory)).report.server;
      expect(identity).toMatch(/^ad:cn=ntds settings,cn=dc1,.*\|[0-9a-f]{32}$/);
      expect(state).toMatch(/^\d+$/);
      await server().restart();
      await server().modify(change(dnOf("anna"), "replace: description", "description: new"));
      const later = (await collect(store.directory)).report.server;
      expect(later.identity).toBe(identity);
      expect(Number(later.state)).toBeGreaterThan(Number(state));
    });

    test("an account that is deleted and undeleted is the same user, with its flags", async () => {
      await store.sync();
      const { id, directoryId } = await store.user("anna");
      await store.database.db("users").where({ id }).update({ required_by_admin: true });
      await server().modify(`dn: ${dnOf("anna")}\nchangetype: delete\n\n`);
      expect((await store.sync()).counts).toMatchObject({ removed: 1 });
      await server().undelete(directoryId, dnOf("anna"));
      expect((await store.sync()).counts).toMatchObject({ restored: 1, added: 0 });
      expect(await store.user("anna")).toMatchObject({ id, requiredByAdmin: true });
    });

    describe("refusals", () => {
      const reader = () => `cn=reader,${unit}`;
      const passwordSecret = "Aa1-reader-of-this-test";
      beforeEach(async () => {
        await server().add(account(reader(), "reader", passwordSecret));
        store.directory.bind = { dn: reader(), passwordSecret };
      });

      test("an unencrypted simple bind is refused, with what to do", async () => {
        store.directory.urls = [server().plainUrl];
        const failure = await failureOf(collect(store.directory));
        expect(failure.code).toBe("directory-bind-refused");
        expect(failure.remedy).toContain("ldaps://");
      });

      test("an anonymous listing is refused for want of a bind", async () => {
        const failure = await failureOf(collect({ ...store.directory, bind: undefined }));
        expect(failure.code).toBe("directory-access-denied");
      });

      test("a bind user that is disabled or whose password must be changed is refused", async () => {
        await server().modify(change(reader(), "replace: pwdLastSet", "pwdLastSet: 0"));
        const expired = await failureOf(collect(store.directory));
        await server().modify(change(reader(), "replace: userAccountControl", "userAccountControl: 514"));
        const disabled = await failureOf(collect(store.directory));
        expect([expired.code, disabled.code]).toEqual([
          "directory-password-expired",
          "directory-bind-refused",
        ]);
        expect(disabled.message).toContain("disabled");
      });

      test("a certificate of an unknown CA or for another name is refused", async () => {
        const untrusted = { ...store.directory.tls, caPem: undefined };
        expect((await failureOf(collect({ ...store.directory, tls: untrusted }))).code).toBe(
          "directory-tls-untrusted",
        );
        const otherName = { ...store.directory.tls, serverName: "dc2.ad.example.org" };
        expect((await failureOf(collect({ ...store.directory, tls: otherName }))).code).toBe(
          "directory-tls-wrong-name",
        );
      });
    });
  });
});
