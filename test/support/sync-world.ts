// A directory, a store and the sync between them, for tests that look at what a run leaves behind.

import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import {
  directoryConfigFor,
  type Slapd,
  type SlapdOptions,
  startSlapd,
} from "../../scripts/servers/slapd.ts";
import { usualLimits } from "../../scripts/servers/usual-limits.ts";
import type { Actor } from "../../src/audit/audit-events-table.ts";
import type { DirectoryConfig, Limit, LimitName, MfaConfig } from "../../src/config/config.ts";
import { createListingThreads, type ListingThreads } from "../../src/directory/listing-threads.ts";
import type { SyncRequest } from "../../src/sync/run-sync.ts";
import { type StartedSync, startSync } from "../../src/sync/start-sync.ts";
import { listChanges } from "../../src/sync/sync-changes-table.ts";
import type { SyncChange, SyncRun } from "../../src/sync/sync-run.ts";
import { applyPolicy } from "../../src/users/apply-policy.ts";
import { mfaPolicyOf } from "../../src/users/policy.ts";
import type { User } from "../../src/users/user.ts";
import { findUserByName, listUsers } from "../../src/users/users-table.ts";
import { emptyTables, openTestDatabase, type TestDatabase } from "./databases.ts";

/** A store and the sync of one directory into it. */
export interface SyncedStore {
  database: TestDatabase;
  /** Changed in place by tests that configure the directory otherwise. */
  directory: DirectoryConfig;
  /** In force with the next start or run, as if a daemon had started with it. */
  mfa: MfaConfig;
  /** Names of the configured directories. */
  directories: string[];
  start(request?: Partial<SyncRequest>): Promise<StartedSync>;
  /** Starts a run and waits for its end. */
  sync(request?: Partial<SyncRequest>): Promise<SyncRun>;
  /** All stored users by name, removed ones too. */
  users(): Promise<User[]>;
  user(username: string): Promise<User>;
  changes(run: SyncRun): Promise<SyncChange[]>;
  stop(): Promise<void>;
}

/** What runs share that follow each other in a test or a file. */
export interface SyncGround {
  database: TestDatabase;
  listingThreads: ListingThreads;
}

export interface SyncWorld extends SyncedStore {
  slapd: Slapd;
}

export const optionalMfa: MfaConfig = {
  mode: "optional",
  requireForDirectories: [],
  requireForGroups: [],
  requireForNewUsers: false,
  initialImport: "include",
  enrollmentGraceMs: 0,
  enrollmentPass: "optional",
  enrollmentPassExpiresMs: 86_400_000,
  replaceWithBackupCode: true,
  issuer: "Example",
  totp: Object.freeze({ windowSteps: 1, enrollmentExpiresMs: 600_000 }),
  backupCodes: Object.freeze({ count: 10 }),
  lockout: Object.freeze({ failures: 5, firstMs: 60_000, maximumMs: 3_600_000 }),
};

export async function openSyncWorld(options: SlapdOptions = {}): Promise<SyncWorld> {
  const [slapd, ground] = await Promise.all([startSlapd(options), openGround()]);
  const store = syncedStore(ground, directoryConfigFor(slapd));
  const stopStore = store.stop;
  const stop = async () => {
    await Promise.all([slapd.stop(), stopStore()]);
  };
  return Object.assign(store, { slapd, stop });
}

/** For files whose tests each want a fresh directory and an empty store: gives every test its own world. */
export function eachTestInSyncWorld(options: SlapdOptions, use: (world: SyncWorld) => unknown): void {
  let ground: SyncGround;
  let slapd: Slapd;
  beforeAll(async () => {
    ground = await openGround();
  });
  beforeEach(async () => {
    [slapd] = await Promise.all([startSlapd(options), emptyTables(ground.database)]);
    await use(Object.assign(syncedStore(ground, directoryConfigFor(slapd)), { slapd }));
  });
  afterEach(() => slapd.stop());
  afterAll(() => closeGround(ground));
}

/** Changes every limit of a directory in the same way, as where a test is not about them. */
export function setLimits({ limits }: DirectoryConfig, change: Partial<Limit>): void {
  for (const name of Object.keys(usualLimits) as LimitName[]) limits[name] = { ...limits[name], ...change };
}

/** An empty store beside a directory server that is somebody else's to stop. */
export async function openSyncedStore(directory: DirectoryConfig): Promise<SyncedStore> {
  return syncedStore(await openGround(), directory);
}

async function openGround(): Promise<SyncGround> {
  return { database: await openTestDatabase(), listingThreads: createListingThreads() };
}

async function closeGround({ database, listingThreads }: SyncGround): Promise<void> {
  await Promise.all([database.close(), listingThreads.stop()]);
}

function syncedStore(ground: SyncGround, directory: DirectoryConfig): SyncedStore {
  const { database, listingThreads } = ground;
  const { db } = database;
  const store: SyncedStore = {
    database,
    directory,
    mfa: { ...optionalMfa },
    directories: [directory.name],
    async start(request = {}) {
      const actor: Actor = { name: "test", via: "daemon" };
      await applyPolicy({ db, policy: mfaPolicyOf(store.mfa), directories: store.directories }, actor);
      return startSync(
        {
          db,
          log: pino({ level: "silent" }),
          policy: mfaPolicyOf(store.mfa),
          directories: store.directories,
          holder: "test",
          listingThreads,
        },
        {
          directory: store.directory,
          trigger: "request",
          actor: { name: "test", via: "sync" },
          dryRun: false,
          signal: new AbortController().signal,
          ...request,
        },
      );
    },
    async sync(request) {
      const started = await store.start(request);
      if (started.kind === "already-running") throw new Error("another run is going on");
      return started.finished;
    },
    users: () => listUsers(db, { limit: 10_000 }),
    async user(username) {
      const match = await findUserByName(db, { username });
      if (match.kind !== "user") throw new Error(`${username} is ${match.kind}`);
      return match.user;
    },
    changes: (run) => listChanges(db, run.id, { limit: 10_000 }),
    stop: () => closeGround(ground),
  };
  return store;
}

/** LDIF of one person under ou=people, or under `ou`. */
export function person(
  uid: string,
  attributes: { cn?: string; mail?: string; ou?: string; rdn?: string } = {},
): string {
  const { cn = uid, mail = `${uid}@example.org`, ou = "ou=people", rdn = `uid=${uid}` } = attributes;
  return ldifEntry(`${rdn},${ou},dc=example,dc=org`, [
    ["objectClass", "inetOrgPerson"],
    ["uid", uid],
    ["cn", cn],
    ["sn", cn],
    ["mail", mail],
  ]);
}

/** LDIF of `count` people named `prefix` and a number. */
export function people(count: number, prefix = "user"): string {
  return Array.from({ length: count }, (_, n) => person(`${prefix}${String(n).padStart(4, "0")}`)).join("");
}

/** LDIF change records that delete these people. */
export function deletions(uids: string[]): string {
  return uids.map((uid) => `dn: uid=${uid},ou=people,dc=example,dc=org\nchangetype: delete\n\n`).join("");
}

/** An LDIF change record that renames uid=`from` to uid=`to`. */
export function rename(from: string, to: string): string {
  return `dn: uid=${from},ou=people,dc=example,dc=org\nchangetype: modrdn\nnewrdn: uid=${to}\ndeleteoldrdn: 1\n\n`;
}

/** What must never differ after a run that failed: who is stored, in which state, with which flags. */
export async function storedFacts(world: Pick<SyncedStore, "database">): Promise<{ id: string }[]> {
  const { rows } = await world.database.db.raw<{ rows: { id: string }[] }>(
    `select id, directory_id, username_key, state, required_new_user, required_by_admin, required_since,
       enrollment_deadline, entry_hash, removed_at from users order by id`,
  );
  return rows;
}
