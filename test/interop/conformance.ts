// Rules 1 to 8 as they show on a real server, the same for every kind: what a run makes of names, moves, locks, groups and
// of everything that goes wrong between. Each test has its own organizational unit and its own store.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { change, type DirectoryUnderTest, moveTo } from "../../scripts/servers/directory-under-test.ts";
import { ldifEntry, rdn } from "../../scripts/servers/ldif.ts";
import type { SyncRun } from "../../src/sync/sync-run.ts";
import { createInstallation } from "../support/installation.ts";
import { openSyncedStore, type SyncedStore, storedFacts } from "../support/sync-world.ts";

/** Starts the server for the describe block that this is called in, and returns it once it runs, for tests of what is its own. */
export function conformance<Server extends DirectoryUnderTest>(
  startServer: () => Promise<Server>,
): () => Server {
  let server: Server;
  let store: SyncedStore;
  let unit: string;
  let people: string;
  let groups: string;
  let elsewhere: string;

  beforeAll(async () => {
    server = await startServer();
    unit = `ou=conformance,${server.suffix}`;
    people = `ou=people,${unit}`;
    groups = `ou=groups,${unit}`;
    elsewhere = `ou=elsewhere,${unit}`;
  });
  afterAll(() => server?.stop());
  describe("rules 1 to 8", () => {
    beforeEach(async () => {
      await server.add([unit, people, groups, elsewhere].map(organizationalUnit).join(""));
      await server.add(["anna", "ben", "cleo"].map((name) => server.person(name, people)).join(""));
      store = await openSyncedStore(server.directoryFor({ users: people, groups }));
      store.directory.limits.pageSize = 2; // several pages even of three people
    });
    afterEach(async () => {
      await store.stop();
      await deleteBelow(server, unit);
    });

    const dnOf = (username: string) => server.personDn(username, people);
    const names = async () =>
      (await store.users()).filter((user) => user.state === "active").map((user) => user.username);
    const idsByName = async () =>
      Object.fromEntries((await store.users()).map((user) => [user.username, user.id]));
    const groupsOf = async (username: string) => (await store.user(username)).groups.map((one) => one.name);

    async function sync(): Promise<SyncRun> {
      const run = await store.sync();
      expect(run.error).toBeNull();
      return run;
    }

    describe("identity", () => {
      test("the first import stores every entry of every page, under the id by which the server finds it", async () => {
        const run = await sync();
        expect(run).toMatchObject({ status: "succeeded", counts: { listed: 3, added: 3, skipped: 0 } });
        const anna = await store.user("anna");
        expect(anna).toMatchObject({ username: "anna", email: "anna@example.org", state: "active" });
        expect(anna.dn.toLowerCase()).toBe(dnOf("anna").toLowerCase());
        const [fresh] = await server.search("(mail=anna@example.org)", ["mail"]);
        expect(await server.findById(anna.directoryId)).toBe(fresh?.dn);
        expect(await server.findById(anna.directoryId)).toBe(anna.dn);
      });

      test("a second run finds everybody unchanged", async () => {
        await sync();
        expect((await sync()).counts).toMatchObject({ listed: 3, unchanged: 3, added: 0, changed: 0 });
      });

      test("a renamed entry is the same user", async () => {
        await sync();
        const before = await idsByName();
        await server.modify(server.rename("anna", "anna.smith", people));
        expect((await sync()).counts).toMatchObject({ changed: 1, added: 0, removed: 0 });
        expect(await idsByName()).toEqual({ "anna.smith": before.anna, ben: before.ben, cleo: before.cleo });
      });

      test("an entry that moves to another branch is the same user", async () => {
        const branch = `ou=berlin,${people}`;
        await server.add(organizationalUnit(branch));
        await sync();
        const before = await idsByName();
        await server.modify(moveTo(dnOf("ben"), branch));
        const run = await sync();
        expect((await store.changes(run)).map(({ reasons }) => reasons)).toEqual([["moved"]]);
        expect(await idsByName()).toEqual(before);
      });

      test("a branch that gets another name takes its users along", async () => {
        const branch = `ou=berlin,${people}`;
        await server.add(organizationalUnit(branch) + server.person("dora", branch));
        await sync();
        const before = await idsByName();
        await server.modify(`dn: ${branch}\nchangetype: modrdn\nnewrdn: ou=bern\ndeleteoldrdn: 1\n\n`);
        expect((await sync()).counts).toMatchObject({ changed: 1, added: 0, removed: 0 });
        expect(await idsByName()).toEqual(before);
        expect((await store.user("dora")).dn).toContain("bern");
      });

      test("two users who swap names in one run both keep theirs", async () => {
        await sync();
        const before = await idsByName();
        await server.modify(
          server.rename("anna", "temp", people) +
            server.rename("ben", "anna", people) +
            server.rename("temp", "ben", people),
        );
        expect((await sync()).counts).toMatchObject({ changed: 2, added: 0, removed: 0, skipped: 0 });
        expect(await idsByName()).toEqual({ anna: before.ben, ben: before.anna, cleo: before.cleo });
      });

      test("an entry made anew under the old name is a new user and inherits nothing", async () => {
        await sync();
        const before = await store.user("anna");
        await store.database.db("users").where({ id: before.id }).update({ required_by_admin: true });
        await server.modify(`dn: ${dnOf("anna")}\nchangetype: delete\n\n`);
        await server.add(server.person("anna", people));
        expect((await sync()).counts).toMatchObject({ added: 1, removed: 1 });
        const after = await store.user("anna");
        expect(after.id).not.toBe(before.id);
        expect(after.requiredByAdmin).toBeNull();
      });

      test("an entry that claims a stored user's name is skipped, and both DNs are reported", async () => {
        store.directory.users.attributes.username = "mail"; // no server keeps that one unique
        await sync();
        await server.add(server.person("dora", people, { mail: "ANNA@example.org" }));
        const run = await sync();
        expect(run.counts).toMatchObject({ skipped: 1, added: 0, removed: 0 });
        const [skip] = await store.database.db("sync_skips").where({ run_id: run.id });
        expect(skip.reason).toBe("username-clash");
        expect(skip.detail.toLowerCase()).toContain(dnOf("anna").toLowerCase());
        expect(skip.detail.toLowerCase()).toContain(dnOf("dora").toLowerCase());
      });
    });

    describe("states", () => {
      test("an entry that leaves the base is removed, and restored with its flags when it is back", async () => {
        await sync();
        const { id } = await store.user("anna");
        await store.database.db("users").where({ id }).update({ required_by_admin: true });
        await server.modify(moveTo(dnOf("anna"), elsewhere));
        expect((await sync()).counts).toMatchObject({ removed: 1 });
        expect(await store.user("anna")).toMatchObject({ id, state: "removed" });
        await server.modify(moveTo(server.personDn("anna", elsewhere), people));
        expect((await sync()).counts).toMatchObject({ restored: 1, added: 0 });
        expect(await store.user("anna")).toMatchObject({ id, state: "active", requiredByAdmin: true });
      });

      test("an entry that an admin locks is a disabled user until it is unlocked", async () => {
        await sync();
        await server.modify(server.lock(dnOf("anna")));
        expect((await sync()).counts).toMatchObject({ disabled: 1, changed: 0 });
        expect((await store.user("anna")).state).toBe("disabled");
        await server.modify(server.unlock(dnOf("anna")));
        const run = await sync();
        expect((await store.changes(run)).map(({ reasons }) => reasons)).toEqual([["enabled-in-directory"]]);
        expect((await store.user("anna")).state).toBe("active");
      });

      test("an entry that has become unusable is reported, and its user stays as it is", async () => {
        store.directory.users.attributes.username = "mail";
        await sync();
        const before = await storedFacts(store);
        await server.modify(change(dnOf("anna"), "delete: mail"));
        const run = await sync();
        expect(run.counts).toMatchObject({ skipped: 1, removed: 0, changed: 0, unchanged: 2 });
        expect(await storedFacts(store)).toEqual(before);
      });
    });

    describe("groups", () => {
      test("nested groups are resolved, a cycle ends, and members outside the base are nobody", async () => {
        const groupDn = (cn: string) => `cn=${cn},${groups}`;
        await server.add(server.person("zoe", elsewhere));
        await server.add(
          server.group("inner", groups, [dnOf("ben")]) +
            server.group("middle", groups, [groupDn("inner")]) +
            server.group("outer", groups, [
              groupDn("middle"),
              dnOf("anna"),
              server.personDn("zoe", elsewhere),
            ]),
        );
        await server.modify(change(groupDn("inner"), "add: member", `member: ${groupDn("outer")}`));
        await sync();
        expect(await groupsOf("anna")).toEqual(["inner", "middle", "outer"]);
        expect(await groupsOf("ben")).toEqual(["inner", "middle", "outer"]);
        expect(await groupsOf("cleo")).toEqual([]);
        expect((await sync()).counts).toMatchObject({ unchanged: 3, changed: 0 });
        await server.modify(change(groupDn("middle"), "add: member", `member: ${dnOf("cleo")}`));
        await sync();
        expect(await groupsOf("cleo")).toEqual(["inner", "middle", "outer"]);
      });

      test("DNs with other scripts and escaped characters are one person in the listing and in the groups", async () => {
        const awkward = [
          "Müller, Jörg",
          "山田 太郎",
          'Sam "Sammy" + Co',
          "back\\slash",
          "#1 Support",
          "a=b;c<d>e",
        ];
        const ldif = awkward.map((cn, number) => server.person(`awkward${number}`, people, { cn }));
        await server.add(ldif.join(""));
        const dns = ldif.map((text) => dnIn(text));
        await server.add(server.group("awkward", groups, dns));
        expect((await sync()).counts).toMatchObject({ listed: 9, added: 9, skipped: 0 });
        for (const number of awkward.keys()) expect(await groupsOf(`awkward${number}`)).toEqual(["awkward"]);
        expect((await store.user("awkward1")).displayName).toBe("山田 太郎");
      });

      test("an organizational unit with awkward characters is a base like any other", async () => {
        const base = `${rdn("ou", 'Zürich, "R+D" \\ Café')},${people}`;
        await server.add(organizationalUnit(base) + server.person("dora", base));
        store.directory.users.bases = [base];
        await sync();
        expect(await names()).toEqual(["dora"]);
      });
    });

    describe("what goes wrong", () => {
      async function expectNothingLost(code: string): Promise<SyncRun> {
        const before = await storedFacts(store);
        const run = await store.sync();
        expect(run).toMatchObject({ status: "failed", error: { code } });
        expect(run.error?.remedy).toBeTruthy();
        expect(await storedFacts(store)).toEqual(before);
        return run;
      }

      test("a base that is not there fails the run", async () => {
        await sync();
        store.directory.users.bases = [`ou=nowhere,${unit}`];
        await expectNothingLost("directory-base-missing");
      });

      test("one missing base of two fails the run", async () => {
        await sync();
        store.directory.users.bases = [people, `ou=nowhere,${unit}`];
        await expectNothingLost("directory-base-missing");
      });

      test("a wrong password is a refused bind, and is not repeated in what is reported", async () => {
        await sync();
        store.directory.bind = { dn: server.syncDn, passwordSecret: "fb1c-not-it" };
        const run = await expectNothingLost("directory-bind-refused");
        expect(JSON.stringify(run)).not.toContain("fb1c-not-it");
      });

      test("an emptied base holds the run", async () => {
        await sync();
        await server.modify(["anna", "ben", "cleo"].map((name) => moveTo(dnOf(name), elsewhere)).join(""));
        expect(await store.sync()).toMatchObject({
          status: "held",
          holdReasons: [{ code: "listing-empty" }],
        });
        expect(await names()).toEqual(["anna", "ben", "cleo"]);
      });

      test("more removals than the limits allow hold the run, and approving carries it out", async () => {
        store.directory.limits.removals = { count: 1, percent: 5 };
        await sync();
        await server.modify(["anna", "ben"].map((name) => moveTo(dnOf(name), elsewhere)).join(""));
        const held = await store.sync();
        expect(held).toMatchObject({ status: "held", holdReasons: [{ code: "too-many-removals" }] });
        expect(await names()).toEqual(["anna", "ben", "cleo"]);
        const run = await store.sync({ trigger: "approval", approves: held });
        expect(run).toMatchObject({ status: "succeeded", counts: { removed: 2 } });
        expect(await names()).toEqual(["cleo"]);
      });

      test("a server that dies in the middle of a listing loses nobody", async () => {
        await sync();
        const before = await storedFacts(store);
        await server.add(many(server, people, 60));
        const run = await store.sync({ onProgress: () => void server.kill() });
        await server.restart();
        expect(run).toMatchObject({ status: "failed", error: { code: "directory-connection-lost" } });
        expect(await storedFacts(store)).toEqual(before);
        expect((await sync()).counts).toMatchObject({ added: 60, removed: 0 });
      });

      test("dirmfa killed in the middle of a listing leaves the store as it was", async () => {
        await sync();
        const before = await storedFacts(store);
        await server.add(many(server, people, 60));
        const installation = await createInstallation({
          slapd: server,
          database: store.database.config,
          directory: {
            ...(server.caFile === undefined ? {} : { tls: { caFile: server.caFile } }),
            users: { bases: [people] },
            groups: { bases: [groups] },
            limits: { pageSize: 2 },
          },
        });
        try {
          const child = installation.start("sync");
          const { db } = store.database;
          while ((await db("staged_pages")).length === 0 && child.exitCode === null) await db.raw("select 1");
          child.kill("SIGKILL");
        } finally {
          await installation.remove();
        }
        expect(await storedFacts(store)).toEqual(before);
        await store.database.db("leases").delete();
        expect((await sync()).counts).toMatchObject({ added: 60, removed: 0 });
      });
    });

    describe("incremental runs (rule 25)", () => {
      const incremental = async () => {
        const run = await store.sync({ kind: "incremental" });
        expect(run.error).toBeNull();
        return run;
      };

      test("who is hired, renamed, locked out or moved within the base is read again, and nobody else", async () => {
        await server.add([server.person("dora", people), server.person("emil", people)].join(""));
        await sync();
        const before = await idsByName();
        await server.add(server.person("fresh", people));
        await server.modify(server.rename("anna", "anna.smith", people) + server.lock(dnOf("ben")));
        const run = await incremental();
        expect(run).toMatchObject({ kind: "incremental", notes: [] });
        expect(run.counts).toMatchObject({ listed: 3, added: 1, changed: 1, disabled: 1, removed: 0 });
        expect(await idsByName()).toMatchObject({ "anna.smith": before.anna, cleo: before.cleo });
        expect(await incremental()).toMatchObject({ kind: "incremental", counts: { listed: 0 } });
        expect((await sync()).counts).toMatchObject({ listed: 6, unchanged: 6 });
      });

      test("who is deleted, or has left the base, stays until the full run", async () => {
        await sync();
        await server.modify(`dn: ${dnOf("anna")}\nchangetype: delete\n\n${moveTo(dnOf("ben"), elsewhere)}`);
        expect((await incremental()).counts).toMatchObject({ added: 0, changed: 0, removed: 0 });
        expect((await names()).sort()).toEqual(["anna", "ben", "cleo"]);
        expect((await sync()).counts).toMatchObject({ removed: 2 });
      });

      test("a changed group, and a changed filter, make the run a full one", async () => {
        await server.add(server.group("staff", groups, [dnOf("anna")]));
        await sync();
        await server.modify(change(`cn=staff,${groups}`, "add: member", `member: ${dnOf("ben")}`));
        const changed = await incremental();
        expect(changed).toMatchObject({ kind: "full", notes: [{ code: "ended-in-full-run" }] });
        expect(changed.notes[0]?.text).toContain("groups-changed");
        expect(await groupsOf("ben")).toEqual(["staff"]);
        store.directory.users.aliases = ["mail"];
        const otherwise = await incremental();
        expect(otherwise.kind).toBe("full");
        expect(otherwise.notes[0]?.text).toContain("read-otherwise");
      });
    });
  });

  return () => server;
}

export function organizationalUnit(dn: string): string {
  const [first = ""] = dn.split(/(?<!\\),/, 1);
  const value = first.slice("ou=".length).replace(/\\(.)/g, "$1");
  return ldifEntry(dn, [
    ["objectClass", "organizationalUnit"],
    ["ou", value],
  ]);
}

function dnIn(ldif: string): string {
  const [, plain, encoded] = /^dn:(?: (.*)|: (.*))$/m.exec(ldif) ?? [];
  return plain ?? Buffer.from(encoded ?? "", "base64").toString();
}

function many(server: DirectoryUnderTest, unit: string, count: number): string {
  return Array.from({ length: count }, (_, number) => server.person(`many${number}`, unit)).join("");
}

/** Deletes the entry and all below it. */
export async function deleteBelow(server: DirectoryUnderTest, unit: string): Promise<void> {
  const found = await server.search("(objectClass=*)", ["dn"], unit);
  const deepestFirst = found.map(({ dn }) => dn).sort((a, b) => depth(b) - depth(a));
  await server.modify(
    deepestFirst.map((dn) => `${ldifEntry(dn, []).trimEnd()}\nchangetype: delete\n\n`).join(""),
  );
}

function depth(dn: string): number {
  return dn.split(/(?<!\\),/).length;
}
