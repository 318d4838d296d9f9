// A database, a folder with one sealing key and the flows' dependencies, for tests of verification. Users are put straight
// into the table: how they get there is the sync's business.

import { createHmac, randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import type { Clock } from "../../src/clock.ts";
import type { MfaConfig } from "../../src/config/config.ts";
import type { Log } from "../../src/log.ts";
import { createKeyFile } from "../../src/sealing/key-folder.ts";
import { openSealingKeys } from "../../src/sealing/sealing-keys.ts";
import { usernameKeyOf } from "../../src/username.ts";
import { mfaPolicyOf } from "../../src/users/policy.ts";
import { insertPolicy } from "../../src/users/policy-table.ts";
import type { Method, VerifyCodeAnswer } from "../../src/verification/answers.ts";
import { type BackupCodeHasher, createBackupCodeHasher } from "../../src/verification/backup-code-hash.ts";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import { confirmEnrollment } from "../../src/verification/confirm-enrollment.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { createTogether } from "../../src/verification/together.ts";
import { verifyCode } from "../../src/verification/verify-code.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";
import { keptLines, noteCode, noteSecret, noteSecretBytes } from "../support/kept-logs.ts";

export const stepMs = 30_000;
export const caller = { name: "caller:test", via: "api" } as const;
export const admin = { name: "alice", via: "cli" } as const;

export const mfaDefaults: MfaConfig = {
  mode: "optional",
  requireForDirectories: [],
  requireForGroups: [],
  requireForNewUsers: false,
  initialImport: "include",
  enrollmentGraceMs: 0,
  enrollmentPass: "optional",
  enrollmentPassExpiresMs: 86_400_000,
  replaceWithBackupCode: true,
  issuer: "ACME",
  totp: { windowSteps: 1, enrollmentExpiresMs: 600_000 },
  // Fewer than the default of ten: every test enrolls someone.
  backupCodes: { count: 4 },
  lockout: { failures: 5, firstMs: 60_000, maximumMs: 86_400_000 },
};

/** A clock that stands still until it is told. */
export class TestClock implements Clock {
  #now = new Date("2026-03-01T12:00:10Z");
  now(): Date {
    return this.#now;
  }
  set(now: Date): void {
    this.#now = now;
  }
  /** Moves by whole TOTP steps, back with a negative number. */
  step(steps = 1): void {
    this.#now = new Date(this.#now.getTime() + steps * stepMs);
  }
}

export interface VerificationWorld {
  database: TestDatabase;
  folder: string;
  clock: TestClock;
  deps: VerificationDeps;
  /** What was logged, as text. */
  logged: string[];
  /** Dependencies as another replica would have them, with other settings where given. */
  replica(settings?: Partial<MfaConfig>, db?: VerificationDeps["db"]): Promise<VerificationDeps>;
  addUser(user?: Partial<{ username: string; directory: string; state: string }>): Promise<TestUser>;
  /** A user who has confirmed an enrollment, with the clock moved past the step that was spent. */
  addEnrolledUser(username?: string): Promise<EnrolledUser>;
  /** The code that the user's app shows now. */
  codeOf(user: { secret: Buffer }): string;
  /** A code that is right neither now nor soon. */
  wrongCodeOf(user: { secret: Buffer }): string;
  /** A code typed at a sign-in. */
  verify(
    user: Pick<TestUser, "username">,
    codeAsTyped: string,
    method?: Method,
    deps?: VerificationDeps,
  ): Promise<VerifyCodeAnswer>;
  events(userId: string): Promise<{ action: string; outcome: string; details: Record<string, unknown> }[]>;
  close(): Promise<void>;
}

export interface TestUser {
  id: string;
  username: string;
}

export interface EnrolledUser extends TestUser {
  secret: Buffer;
  backupCodes: string[];
}

/** Gives every test of a file its own world, in one database. */
export function eachTestInVerificationWorld(use: (world: VerificationWorld) => void): void {
  let database: TestDatabase;
  let world: VerificationWorld;
  beforeAll(async () => {
    database = await openTestDatabase();
  });
  beforeEach(async () => {
    world = await openVerificationWorld(database);
    use(world);
  });
  afterEach(() => world.close());
  afterAll(() => database.close());
}

/** The real hasher, at a price that lets thousands of sets be made. What they cost in production: backup-code-hash.test.ts. */
export function cheapHasher(): BackupCodeHasher {
  return createBackupCodeHasher("scrypt:16:8:1", 2);
}

/** With `shared`, that database is emptied and outlives the world: an embedded one takes seconds to make. */
export async function openVerificationWorld(shared?: TestDatabase): Promise<VerificationWorld> {
  const database = shared ?? (await openTestDatabase());
  if (shared) await emptyDatabase(shared);
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-keys-"));
  await createKeyFile(folder, "first", randomBytes(32));
  const clock = new TestClock();
  const logged = keptLines("log");
  // Not the program's own log, which redacts: nothing is passed to it that it would have to redact.
  const log: Log = pino({ level: "trace", base: null }, { write: (line: string) => logged.push(line) });

  // As configured; `addUser` may put users into others too.
  const directories = ["main", "other", "north", "south", "one", "two", "paged"];
  const replica: VerificationWorld["replica"] = async (settings = {}, db = database.db) => {
    const mfa = { ...mfaDefaults, ...settings };
    const keys = await openSealingKeys({ db, folder, log });
    // In force for all replicas from now on, but of nobody stored yet that it has begun: tests do that where it matters.
    await db.transaction(async (trx) => {
      await trx("mfa_policy").delete();
      await insertPolicy(trx, mfaPolicyOf(mfa), "test");
    });
    return {
      db,
      clock,
      log,
      keys,
      hasher: cheapHasher(),
      together: createTogether(db),
      randomBytes,
      mfa,
      directories,
    };
  };
  const deps = await replica();

  const addUser: VerificationWorld["addUser"] = async (user = {}) => {
    const username = user.username ?? `user-${randomUUID()}`;
    const state = user.state ?? "active";
    const [row] = await database
      .db("users")
      .insert({
        directory: user.directory ?? "main",
        directory_id: randomUUID(),
        username,
        username_key: usernameKeyOf(username),
        dn: `uid=${username}`,
        dn_key: `uid=${username}`,
        state,
        removed_at: state === "removed" ? new Date() : null,
        entry_hash: "-",
        required_new_user: false,
      })
      .returning("id");
    return { id: row.id, username };
  };

  return {
    database,
    folder,
    clock,
    deps,
    logged,
    replica,
    addUser,
    addEnrolledUser: async (username) => {
      const user = await addUser(username === undefined ? {} : { username });
      return { ...user, ...(await enroll(deps, clock, user.username)) };
    },
    codeOf: ({ secret }) => totpOf(secret, clock.now()),
    wrongCodeOf: ({ secret }) => wrongTotpOf(secret, clock.now()),
    verify: ({ username }, codeAsTyped, method = "totp", using = deps) =>
      verifyCode(using, { name: { username }, code: { method, codeAsTyped }, actor: caller }),
    events: (userId) =>
      database
        .db("audit_events")
        .select("action", "outcome", "details")
        .where({ user_id: userId })
        .orderBy("id"),
    close: async () => {
      if (!shared) await database.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** Takes everything away that verification and the audit write, whatever is append-only. */
export async function emptyDatabase({ db }: TestDatabase): Promise<void> {
  await db.transaction(async (trx) => {
    await trx.raw("set local session_replication_role = replica");
    await trx.raw(
      "truncate users, notices, sealing_keys, audit_events, audit_gaps, audit_anchors, replicas restart identity cascade",
    );
    await trx.raw("delete from leases");
  });
}

async function enroll(deps: VerificationDeps, clock: TestClock, username: string) {
  const begun = await beginEnrollment(deps, { name: { username }, actor: caller });
  if (begun.outcome !== "begun") throw new Error(begun.outcome);
  const secret = secretOf(begun.secretPlain);
  const totpAsTyped = totpOf(secret, clock.now());
  const confirmed = await confirmEnrollment(deps, { name: { username }, totpAsTyped, actor: caller });
  if (confirmed.outcome !== "confirmed") throw new Error(confirmed.outcome);
  clock.step();
  noteSecret(...confirmed.backupCodes);
  return { secret, backupCodes: confirmed.backupCodes };
}

/** RFC 6238 once more, written from the text and not from the library under test. */
export function totpOf(secret: Buffer, at: Date): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at.getTime() / stepMs)));
  const hash = createHmac("sha1", secret).update(counter).digest();
  const offset = hash.readUInt8(19) & 15;
  const code = String((hash.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
  noteCode(code);
  return code;
}

/** A code that is right at no step near `at`. */
export function wrongTotpOf(secret: Buffer, at: Date): string {
  const right = new Set(
    [-3, -2, -1, 0, 1, 2, 3].map((step) => totpOf(secret, new Date(at.getTime() + step * stepMs))),
  );
  const wrong =
    ["000000", "111111", "222222", "333333", "444444", "555555", "666666", "777777"].find(
      (code) => !right.has(code),
    ) ?? "";
  noteCode(wrong);
  return wrong;
}

export function secretOf(base32: string): Buffer {
  const bits = Array.from(base32, (character) =>
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(character).toString(2).padStart(5, "0"),
  ).join("");
  const secret = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  noteSecret(base32);
  noteSecretBytes(secret);
  return secret;
}
