// Several servers of one directory: a replica that lags behind, one that dies in the middle, one restored from a backup. On one
// engine only: it is about servers, and slow to run twice.

import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { directoryConfigFor, type Slapd, startSlapd } from "../../scripts/servers/slapd.ts";
import { acceptServer } from "../../src/sync/accept-server.ts";
import { listOlderCopies, listSyncAges } from "../../src/sync/directories-table.ts";
import {
  directoryConfigForFake,
  entry,
  fakeBase,
  result,
  scriptFor,
  startFakeLdapServer,
} from "../support/fake-ldap-server.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import {
  deletions,
  openSyncedStore,
  people,
  person,
  rename,
  type SyncedStore,
  storedFacts,
} from "../support/sync-world.ts";

let folder: string;
let primary: Slapd;
let replica: Slapd;
let store: SyncedStore;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dirmfa-failover-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));
beforeEach(async () => {
  primary = await startSlapd({ folder: join(folder, "primary"), overlays: ["syncprov"], ldif: people(60) });
  replica = await startReplica();
  store = await openSyncedStore(directoryConfigFor(primary));
  store.directory.urls = [primary.url, replica.url];
});
afterEach(async () => {
  await Promise.all([primary.stop(), replica.stop(), store.stop()]);
  for (const name of ["primary", "replica"]) await rm(join(folder, name), { recursive: true, force: true });
});

/** A server with the primary's data as they are now, suffix and ids the same; nothing reaches it later. */
async function startReplica(): Promise<Slapd> {
  await primary.stop();
  await rm(join(folder, "replica"), { recursive: true, force: true });
  await cp(join(folder, "primary"), join(folder, "replica"), { recursive: true });
  await rm(join(folder, "replica", "ports.json"));
  const options = { overlays: ["syncprov" as const] };
  primary = await startSlapd({ folder: join(folder, "primary"), ...options });
  return startSlapd({ folder: join(folder, "replica"), ...options });
}

const stateOf = async (username: string) => (await store.user(username)).state;

test("a replica that lags behind removes nobody however often it answers, until it has caught up", async () => {
  await primary.add(person("hired"));
  expect((await store.sync()).serverUrl).toBe(primary.url);
  await primary.kill();
  for (const _ of [1, 2, 3]) {
    const run = await store.sync();
    expect(run).toMatchObject({ status: "succeeded", serverUrl: replica.url, counts: { removed: 0 } });
    expect(run.notes).toMatchObject([{ code: "older-copy" }]);
    expect(await stateOf("hired")).toBe("active");
  }
  await primary.restart();
  await primary.modify(deletions(["user0001"]));
  await replica.stop();
  replica = await startReplica();
  store.directory.urls = [replica.url];
  expect((await store.sync()).notes).toMatchObject([{ code: "another-server" }]);
  expect((await store.sync()).counts).toMatchObject({ removed: 1 });
  expect([await stateOf("hired"), await stateOf("user0001")]).toEqual(["active", "removed"]);
});

const dnOf = (uid: string) => `uid=${uid},ou=people,dc=example,dc=org`;
const modify = (dn: string, change: string) => `dn: ${dn}\nchangetype: modify\n${change}\n\n`;
const groupDn = "cn=mfa,ou=groups,dc=example,dc=org";

test("an older copy may add users, with the groups they are in, and nothing else (rule 4)", async () => {
  store.directory.users.disabled = { kind: "attribute", attribute: "title", values: ["gone"] };
  const member = ["user0003", "user0006"].map((uid) => `member: ${dnOf(uid)}\n`).join("");
  await primary.add(`dn: ${groupDn}\nobjectClass: groupOfNames\ncn: mfa\n${member}\n`);
  await replica.stop();
  replica = await startReplica();
  store.directory.urls = [primary.url, replica.url];
  await store.sync();
  await primary.modify(
    modify(dnOf("user0001"), "add: title\ntitle: gone") +
      deletions(["user0002"]) +
      modify(groupDn, `add: member\nmember: ${dnOf("user0004")}`) +
      modify(groupDn, `delete: member\nmember: ${dnOf("user0003")}`) +
      rename("user0005", "married"),
  );
  expect(await store.sync()).toMatchObject({ status: "succeeded", counts: { disabled: 1, removed: 1 } });
  const { db } = store.database;
  await db("users").where({ username: "user0006" }).delete(); // the only one whom the store does not know
  const before = await storedFacts(store);
  const ages = await db("directories").select("last_complete_at");
  await primary.kill();
  const run = await store.sync();
  const { listed, unchanged, ...counts } = run.counts ?? {};
  expect(counts).toEqual({ added: 1, changed: 0, restored: 0, disabled: 0, removed: 0, skipped: 0 });
  expect(run.notes).toMatchObject([
    { code: "older-copy", text: expect.stringContaining("leaves 4 users and groups") },
  ]);
  const added = await store.user("user0006");
  expect((await storedFacts(store)).filter(({ id }) => id !== added.id)).toEqual(before);
  expect(added.groups.map(({ name }) => name)).toEqual(["mfa"]);
  expect((await store.user("user0004")).groups).toHaveLength(1);
  expect((await store.user("user0003")).groups).toEqual([]);
  expect(await db("directories").select("last_complete_at")).toEqual(ages);
});

test("a server that lost another one's changes for good removes nobody until that is accepted", async () => {
  await store.sync();
  const { db } = store.database;
  const deps = { db, holder: "test" };
  const input = { name: store.directory.name, actor: { name: "admin", via: "cli" } as const };
  await expect(acceptServer(deps, input)).rejects.toMatchObject({ code: "invalid-usage" });
  // As if a second server had taken writes, and was taken out of the directory since: its id leaves contextCSN.
  const [before] = await db("directories").select("server_state");
  const gone = "20260131120000.000001Z#000000#00b#000000";
  await db("directories").update({ server_state: `${before.server_state} ${gone}` });
  await primary.modify(deletions(["user0001"]));
  for (const _ of [1, 2]) {
    expect((await store.sync()).notes).toMatchObject([{ code: "older-copy" }]);
  }
  expect(await stateOf("user0001")).toBe("active");
  expect(await listSyncAges(db)).toMatchObject([{ olderCopySeconds: expect.any(Number) }]);
  expect(await listOlderCopies(db)).toMatchObject([{ directory: "example" }]);
  expect(await acceptServer(deps, input)).toMatchObject({
    lost: ["It has no change of server 00b any more, and had one of 20260131120000.000001Z#000000."],
  });
  expect((await store.sync()).counts).toMatchObject({ removed: 1 });
  expect(await listSyncAges(db)).toMatchObject([{ olderCopySeconds: null }]);
  const events = await db("audit_events").where({ action: "directory-accept-server" });
  expect(events).toMatchObject([{ actor: "admin", directory: "example" }]);
});

test("with confirmRemovals a change of server begins all counts anew", async () => {
  store.directory.limits.confirmRemovals = 2;
  await store.sync();
  await primary.modify(deletions(["user0001"]));
  await replica.modify(deletions(["user0001"]));
  expect((await store.sync()).notes).toMatchObject([{ code: "removals-unconfirmed" }]);
  await primary.kill();
  expect((await store.sync()).counts).toMatchObject({ removed: 0 });
  expect(await stateOf("user0001")).toBe("active");
  expect((await store.sync()).counts).toMatchObject({ removed: 1 });
});

test("a server that dies in the middle is left for the next one, where the listing starts anew", async () => {
  const proxy = await startFaultProxy(primary.port);
  try {
    store.directory.limits.pageSize = 5;
    proxy.faults = [{ kind: "reset", afterBytes: 6_000 }];
    store.directory.urls = [proxy.url, replica.url];
    await primary.modify(deletions(["user0003"])); // seen of the first server, and not to be mixed in
    const run = await store.sync();
    expect(run).toMatchObject({
      status: "succeeded",
      serverUrl: replica.url,
      counts: { listed: 60, added: 60 },
    });
    expect(await store.database.db("sync_skips")).toEqual([]);
  } finally {
    await proxy.close();
  }
});

test("when the last server fails too, the run fails with the last error and nothing has changed", async () => {
  const [first, second] = [await startFaultProxy(primary.port), await startFaultProxy(replica.port)];
  try {
    await store.sync();
    store.directory.limits.pageSize = 5;
    for (const proxy of [first, second]) proxy.faults = [{ kind: "end", afterBytes: 6_000 }];
    store.directory.urls = [first.url, second.url];
    const run = await store.sync();
    expect(run).toMatchObject({ status: "failed", error: { code: "directory-connection-lost" } });
    expect(await store.users()).toHaveLength(60);
  } finally {
    await Promise.all([first.close(), second.close()]);
  }
});

test("a server that is not there or refuses its turn is passed over; one that refuses the bind is not", async () => {
  store.directory.urls = ["ldap://127.0.0.1:1", "ldap://no-such-host.invalid", replica.url];
  expect(await store.sync()).toMatchObject({ status: "succeeded", serverUrl: replica.url });
  store.directory.urls = [primary.url, replica.url];
  store.directory.bind = { dn: primary.syncDn, passwordSecret: "wrong" };
  expect(await store.sync()).toMatchObject({ error: { code: "directory-bind-refused" } });
});

test("Active Directory under a new invocation id, as after a restore, is another server once", async () => {
  const ntds = "cn=NTDS Settings,cn=DC1,cn=Servers,dc=fake";
  const directory = { users: 3, invocation: "11".repeat(16), usn: "5000" };
  const server = await startFakeLdapServer(
    scriptFor(
      ({ id, attributes }) =>
        attributes.includes("sAMAccountName")
          ? [...adUsers(id, directory.users), result(id, 0, { cookie: "" })]
          : [result(id, 0, { cookie: "" })],
      ({ id, base, operation, scope }) => {
        if (operation !== "search" || scope !== "base") return undefined;
        const invocationId = [Buffer.from(directory.invocation, "hex")];
        const rootDse = { dsServiceName: [ntds], highestCommittedUSN: [directory.usn] };
        if (base === "") return [entry(id, "", rootDse), result(id, 0)];
        return base === ntds ? [entry(id, ntds, { invocationId }), result(id, 0)] : undefined;
      },
    ),
  );
  try {
    store.directory = { ...directoryConfigForFake(server), name: "ad", kind: "active-directory" };
    await store.sync();
    Object.assign(directory, { users: 2, invocation: "22".repeat(16), usn: "4000" });
    expect((await store.sync()).notes).toMatchObject([{ code: "another-server" }]);
    expect((await store.sync()).counts).toMatchObject({ removed: 1 });
    // The same incarnation with a lower number: its disk was set back without its knowing.
    Object.assign(directory, { users: 1, usn: "3999" });
    for (const _ of [1, 2]) expect((await store.sync()).counts).toMatchObject({ removed: 0 });
    directory.usn = "4001";
    expect((await store.sync()).counts).toMatchObject({ removed: 1 });
  } finally {
    await server.stop();
  }
});

function adUsers(id: number, count: number): Buffer[] {
  return Array.from({ length: count }, (_, number) =>
    entry(id, `cn=user${number},${fakeBase}`, {
      objectGUID: [Buffer.alloc(16, number + 1)],
      sAMAccountName: [`user${number}`],
      userAccountControl: ["512"],
    }),
  );
}
