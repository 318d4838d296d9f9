// Whatever a directory answers badly, users and flags afterwards are users and flags before, and the run says why.

import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { directoryConfigFor, startSlapd } from "../../scripts/servers/slapd.ts";
import type { SyncRun } from "../../src/sync/sync-run.ts";
import { mfaPolicyOf } from "../../src/users/policy.ts";
import { setRequiredByAdmin } from "../../src/users/require-mfa.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { openSyncWorld, people, person, type SyncWorld, storedFacts } from "../support/sync-world.ts";

let world: SyncWorld;
let proxy: FaultProxy;
let before: unknown;

const branch =
  "dn: ou=berlin,ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: berlin\n\n" +
  Array.from({ length: 20 }, (_, n) => person(`berlin${n}`, { ou: "ou=berlin,ou=people" })).join("");

beforeAll(async () => {
  world = await openSyncWorld({ ldif: people(80) + branch });
  proxy = await startFaultProxy(world.slapd.port);
  world.directory.limits.pageSize = 10;
  await world.sync();
  const { id } = await world.user("user0001");
  const deps = { db: world.database.db, policy: mfaPolicyOf(world.mfa) };
  await setRequiredByAdmin(deps, { userId: id, required: true, actor: { name: "test", via: "cli" } });
  before = await storedFacts(world);
});
afterEach(() => {
  world.directory = directoryConfigFor(world.slapd);
  world.directory.limits.pageSize = 10;
  proxy.faults = [];
});
afterAll(async () => {
  await proxy.close();
  await world.stop();
});

async function expectNothingLost(run: SyncRun, code: string, words: RegExp): Promise<void> {
  expect(run).toMatchObject({ status: "failed", error: { code }, counts: null });
  expect(`${run.error?.message} ${run.error?.remedy}`).toMatch(words);
  expect(run.error?.remedy).toBeTruthy();
  expect(await storedFacts(world)).toEqual(before);
  expect(await world.database.db("staged_entries")).toEqual([]);
}

const throughProxy = () => {
  world.directory.urls = [proxy.url];
};

// Where the second page begins, about: the first one has ten entries and everything before it.
const middleOfAnswers = 6_000;

test("the server dies in the middle of a listing", async () => {
  const run = await world.sync({ onProgress: () => void world.slapd.kill() });
  await world.slapd.restart();
  await expectNothingLost(run, "directory-connection-lost", /connection/i);
});

test("the database loses what is staged, as it does when it crashes", async () => {
  let lost: Promise<unknown> | undefined;
  const loseStaging = () => {
    lost ??= world.database.db.raw("truncate staged_pages, staged_entries").then(() => {});
  };
  const run = await world.sync({ onProgress: loseStaging });
  await lost;
  await expectNothingLost(run, "run-incomplete-staging", /database.*restart or failover/i);
});

test("the connection is reset", async () => {
  throughProxy();
  proxy.faults = [{ kind: "reset", afterBytes: middleOfAnswers }];
  await expectNothingLost(await world.sync(), "directory-connection-lost", /connection/i);
});

test("the connection ends in an orderly way in the middle of a page", async () => {
  throughProxy();
  proxy.faults = [{ kind: "end", afterBytes: middleOfAnswers }];
  await expectNothingLost(await world.sync(), "directory-connection-lost", /connection/i);
});

test("the server falls silent", async () => {
  throughProxy();
  world.directory.timeouts.idleMs = 300;
  proxy.faults = [{ kind: "stall", afterBytes: middleOfAnswers }];
  await expectNothingLost(await world.sync(), "directory-timeout", /answer|time/i);
});

test("the listing takes longer than it may", async () => {
  throughProxy();
  world.directory.timeouts.listingMs = 400;
  proxy.faults = [{ kind: "stall", afterBytes: middleOfAnswers }];
  await expectNothingLost(await world.sync(), "directory-timeout", /time|long/i);
});

test("the bind is refused", async () => {
  world.directory.bind = { dn: world.slapd.syncDn, passwordSecret: "fb1c-not-it" };
  const run = await world.sync();
  await expectNothingLost(run, "directory-bind-refused", /password/i);
  expect(JSON.stringify(run)).not.toContain("fb1c-not-it");
});

test("the server is not there", async () => {
  world.directory.urls = ["ldap://127.0.0.1:1"];
  await expectNothingLost(await world.sync(), "directory-unreachable", /127\.0\.0\.1:1/);
});

test("the name of the server does not resolve", async () => {
  world.directory.urls = ["ldap://no-such-host.invalid"];
  await expectNothingLost(await world.sync(), "directory-name-not-resolved", /no-such-host\.invalid/);
});

test("the base does not exist", async () => {
  world.directory.users.bases = ["ou=nowhere,dc=example,dc=org"];
  await expectNothingLost(await world.sync(), "directory-base-missing", /ou=nowhere,dc=example,dc=org/);
});

test("one of two bases fails", async () => {
  world.directory.users.bases = ["ou=people,dc=example,dc=org", "ou=nowhere,dc=example,dc=org"];
  await expectNothingLost(await world.sync(), "directory-base-missing", /ou=nowhere/);
});

test("the filter is not a filter", async () => {
  world.directory.users.filter = "(objectClass=inetOrgPerson";
  await expectNothingLost(await world.sync(), "directory-filter-invalid", /filter/i);
});

test("a base without entries is held", async () => {
  world.directory.users.bases = ["ou=services,dc=example,dc=org"];
  const run = await world.sync();
  expect(run).toMatchObject({ status: "held", holdReasons: [{ code: "listing-empty" }] });
  expect(await storedFacts(world)).toEqual(before);
});

test("a run is aborted", async () => {
  const controller = new AbortController();
  const run = await world.sync({ signal: controller.signal, onProgress: () => controller.abort() });
  expect(run).toMatchObject({ status: "failed" });
  expect(await storedFacts(world)).toEqual(before);
});

/** The same directory behind a server with other rules. */
async function syncFrom(options: { limits?: string[]; access?: string[] }): Promise<SyncRun> {
  const folderLdif = people(80) + branch;
  const strict = await startSlapd({ ldif: folderLdif, ...options });
  try {
    const request = { directory: { ...directoryConfigFor(strict), name: "example" } };
    request.directory.limits.pageSize = 10;
    return await world.sync(request);
  } finally {
    await strict.stop();
  }
}

const syncDn = "cn=dirmfa,ou=services,dc=example,dc=org";

test("a size limit is hit on the first page", async () => {
  const run = await syncFrom({ limits: [`dn.exact="${syncDn}" size.hard=5 size.prtotal=5`] });
  await expectNothingLost(run, "directory-size-limit", /limit/i);
});

test("a size limit is hit on the last page", async () => {
  const run = await syncFrom({ limits: [`dn.exact="${syncDn}" size.prtotal=95`] });
  await expectNothingLost(run, "directory-size-limit", /size\.prtotal/);
});

test("the server refuses paging", async () => {
  const run = await syncFrom({ limits: [`dn.exact="${syncDn}" size.prtotal=disabled`] });
  await expectNothingLost(run, "directory-paging-refused", /size\.prtotal/);
});

test("access rules hide the base", async () => {
  const run = await syncFrom({
    access: [
      `to dn.subtree="ou=people,dc=example,dc=org" by * none`,
      `to attrs=userPassword by anonymous auth by * none`,
      `to * by dn.exact="${syncDn}" read by anonymous auth by * none`,
    ],
  });
  await expectNothingLost(run, "directory-base-missing", /read/i);
});

test("access rules that hide a branch, in the same server, hold the run", async () => {
  const db = world.database.db;
  const [memory] = await db("directories");
  const strict = await startSlapd({
    ldif: people(80) + branch,
    access: [
      `to dn.subtree="ou=berlin,ou=people,dc=example,dc=org" by * none`,
      `to attrs=userPassword by anonymous auth by * none`,
      `to * by dn.exact="${syncDn}" read by anonymous auth by * none`,
    ],
  });
  try {
    // The very same entries, then seen with and without the branch.
    const directory = { ...directoryConfigFor(strict), name: "branch" };
    directory.bind = { dn: strict.adminDn, passwordSecret: strict.adminPassword };
    expect((await world.sync({ directory })).counts).toMatchObject({ added: 100 });
    directory.bind = { dn: strict.syncDn, passwordSecret: strict.syncPassword };
    const run = await world.sync({ directory });
    expect(run).toMatchObject({ status: "held", counts: { removed: 20 } });
    expect(await db("users").where({ directory: "branch", state: "active" })).toHaveLength(100);
  } finally {
    await strict.stop();
    await db("users").where({ directory: "branch" }).delete();
    await db("directories").where({ name: "branch" }).delete();
  }
  expect(await db("directories")).toEqual([memory]);
});

test("a complete listing from another server adds, and leaves removals to the next listing from the same server", async () => {
  const other = await startSlapd({ ldif: people(3, "other") });
  try {
    const directory = { ...directoryConfigFor(other), name: "example" };
    directory.limits.removals = { count: 1000, percent: 100 };
    const first = await world.sync({ directory, dryRun: true });
    expect(first).toMatchObject({ status: "succeeded", counts: { added: 3, removed: 0 } });
    expect(first.notes).toMatchObject([{ code: "another-server" }]);
    expect(await storedFacts(world)).toEqual(before);
  } finally {
    await other.stop();
  }
});

test("wherever the listing is cut, no user is lost", async () => {
  throughProxy();
  world.directory.timeouts.idleMs = 300;
  await world.sync();
  const whole = proxy.bytesSeen;
  for (const share of [0.05, 0.2, 0.5, 0.8, 0.95, 0.999]) {
    for (const kind of ["reset", "end", "stall"] as const) {
      proxy.faults = [{ kind, afterBytes: Math.floor(whole * share) }];
      await world.sync();
      expect(await storedFacts(world), `${kind} at ${share}`).toEqual(before);
    }
  }
});
