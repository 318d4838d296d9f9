// The conformance suite on 389-ds, and what is 389-ds' own.

import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { change, startThreeEightNine } from "../../scripts/servers/directory-under-test.ts";
import type { DirectoryConfig } from "../../src/config/config.ts";
import { collect, failureOf } from "../directory/listing.ts";
import { openSyncedStore } from "../support/sync-world.ts";
import { conformance, deleteBelow, organizationalUnit } from "./conformance.ts";

describe("389-ds", () => {
  const server = conformance(startThreeEightNine);

  describe("what is 389-ds' own", () => {
    let unit: string;
    let directory: DirectoryConfig;
    beforeEach(async () => {
      unit = `ou=own,${server().suffix}`;
      const people = Array.from({ length: 20 }, (_, number) => server().person(`user${number}`, unit));
      await server().add(organizationalUnit(unit) + people.join(""));
      directory = server().directoryFor({ users: unit, groups: unit });
      directory.limits.pageSize = 5;
    });
    afterEach(() => deleteBelow(server(), unit));

    test("nsUniqueId is the id, in its own layout and lower case", async () => {
      const { directoryIds } = await collect(directory);
      const [entry] = await server().search("(uid=user0)", ["nsUniqueId"]);
      expect(directoryIds[0]).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{8}){3}$/);
      expect(directoryIds).toContain(entry?.attributes.nsUniqueId?.[0]?.toLowerCase());
    });

    test("the kind is found from the root DSE", async () => {
      const { report, usernames } = await collect({ ...directory, kind: undefined });
      expect(report.server.identity).toMatch(/^389ds:/);
      expect(usernames).toHaveLength(20);
    });

    test("a lock spelled in any case disables, and false does not", async () => {
      const lock = (uid: string, value: string) =>
        change(`uid=${uid},${unit}`, "replace: nsAccountLock", `nsAccountLock: ${value}`);
      await server().modify(lock("user1", "TRUE") + lock("user2", "true") + lock("user3", "false"));
      expect((await collect(directory)).disabled.sort()).toEqual(["user1", "user2"]);
    });

    test("an nsAccountLock that an access rule hides enables nobody: many at once are held", async () => {
      const locked = Array.from({ length: 9 }, (_, number) => server().personDn(`user${number}`, unit));
      await server().modify(locked.map((dn) => server().lock(dn)).join(""));
      const store = await openSyncedStore(directory);
      try {
        await store.sync();
        const disabled = async () => (await store.users()).filter(({ state }) => state === "disabled").length;
        expect(await disabled()).toBe(9);
        const hide = `(targetattr="nsAccountLock")(version 3.0; acl "hide"; deny (all) userdn="ldap:///${server().syncDn}";)`;
        await server().modify(change(unit, "add: aci", `aci: ${hide}`));
        for (const _ of [1, 2]) {
          const run = await store.sync();
          expect(run).toMatchObject({ status: "held", holdReasons: [{ code: "too-many-enables" }] });
          expect(await disabled()).toBe(9);
        }
      } finally {
        await store.stop();
      }
    });

    describe("limits of the bind DN", () => {
      const limit = (name: string, value: number) =>
        server().modify(change(server().syncDn, `replace: ${name}`, `${name}: ${value}`));
      const unlimit = (name: string) => limit(name, -1);

      test.each([
        // A page, not the whole of a listing, is measured against this one.
        ["nsPagedSizeLimit", 3, "directory-size-limit", /nsPagedSizeLimit/],
        ["nsPagedLookThroughLimit", 12, "directory-admin-limit", /nsPagedLookThroughLimit/],
      ])("%s %i is told as %s", async (name, value, code, remedy) => {
        await limit(name, value);
        try {
          const failure = await failureOf(collect(directory));
          expect(failure.code).toBe(code);
          expect(failure.remedy).toMatch(remedy);
        } finally {
          await unlimit(name);
        }
      });

      test("a size limit for unpaged results does not cut a paged listing short", async () => {
        await limit("nsSizeLimit", 12);
        await limit("nsPagedSizeLimit", -1);
        try {
          expect((await collect(directory)).usernames).toHaveLength(20);
        } finally {
          await unlimit("nsSizeLimit");
          await unlimit("nsPagedSizeLimit");
        }
      });
    });

    test("a bind DN whose password an admin has reset must change it first", async () => {
      const policy = (value: string) =>
        server().modify(change("cn=config", "replace: passwordMustChange", `passwordMustChange: ${value}`));
      const reader = `uid=reader,${unit}`;
      await policy("on");
      try {
        await server().add(server().person("reader", unit));
        await server().modify(change(reader, "replace: userPassword", "userPassword: Correct-Horse-1"));
        // The server notes that after it has answered.
        const isReset = async () =>
          (await server().search("(uid=reader)", ["pwdReset"]))[0]?.attributes.pwdReset?.[0] === "TRUE";
        while (!(await isReset())) await sleep(20);
        directory.bind = { dn: reader, passwordSecret: "Correct-Horse-1" };
        expect((await failureOf(collect(directory))).code).toBe("directory-password-expired");
      } finally {
        await policy("off");
      }
    });

    test("anonymous listings are refused where the server wants a bind", async () => {
      const allow = (value: string) =>
        server().modify(
          change(
            "cn=config",
            "replace: nsslapd-allow-anonymous-access",
            `nsslapd-allow-anonymous-access: ${value}`,
          ),
        );
      await allow("off");
      try {
        const failure = await failureOf(collect({ ...directory, bind: undefined }));
        expect(failure.code).toBe("directory-access-denied");
      } finally {
        await allow("on");
      }
    });

    test("what access rules hide from the bind DN is missing without a word: the limits on removals are for that", async () => {
      const everything = await collect(directory);
      const hide = `(targetfilter="(uid=user1*)")(targetattr="*")(version 3.0; acl "hide"; deny (all) userdn="ldap:///${server().syncDn}";)`;
      await server().modify(change(unit, "add: aci", `aci: ${hide}`));
      const visible = await collect(directory);
      expect([everything.usernames.length, visible.usernames.length]).toEqual([20, 9]);
    });
  });
});
