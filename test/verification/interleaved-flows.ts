// Every flow that changes or checks a user's MFA, those that concern all users at once, the states a user can be in before it, and what can be seen after it; for
// the search over interleavings. Users are made by statements, since every interleaving needs a fresh one.

import { randomBytes, randomUUID } from "node:crypto";
import { settleRestoredDatabase } from "../../src/after-restore.ts";
import { AppError } from "../../src/errors.ts";
import { generateKey, rotateKeys } from "../../src/sealing/rotate-keys.ts";
import { nonceBytes, seal } from "../../src/sealing/sealing.ts";
import type { Transaction } from "../../src/store/database.ts";
import { inTransaction } from "../../src/store/in-transaction.ts";
import { lockRestored, removeUsers, updateUsers } from "../../src/sync/apply-table.ts";
import { renameDirectory } from "../../src/sync/rename-directory.ts";
import { purgeRemovedUsers } from "../../src/users/purge-removed.ts";
import { setRequiredByAdmin } from "../../src/users/require-mfa.ts";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import { canonicalBackupCode } from "../../src/verification/codes.ts";
import { confirmEnrollment } from "../../src/verification/confirm-enrollment.ts";
import type { VerificationDeps } from "../../src/verification/deps.ts";
import { disableMfa, disableMfaByAdmin } from "../../src/verification/disable-mfa.ts";
import { issueEnrollmentPass, passHash } from "../../src/verification/enrollment-pass.ts";
import { regenerateBackupCodes } from "../../src/verification/regenerate-backup-codes.ts";
import { unlockUser } from "../../src/verification/unlock-user.ts";
import { verifyCode } from "../../src/verification/verify-code.ts";
import {
  admin,
  caller,
  stepMs,
  type TestClock,
  totpOf,
  type VerificationWorld,
} from "./verification-world.ts";

const oldDirectory = "main";
const newDirectory = "other";
const monthMs = 30 * 86_400_000;
const retention = { name: "retention", via: "daemon" } as const;

/** Where a user stands at first. `active` and `pending` say which authenticators there are. */
export const states = {
  begun: { user: "active", active: false, pending: true },
  enrolled: { user: "active", active: true, pending: false },
  replacing: { user: "active", active: true, pending: true },
  removed: { user: "removed", active: true, pending: true },
  // With an enrollment pass (rule 31), and an enrollment that was begun without it.
  withPass: { user: "active", active: false, pending: true },
} as const;
export type StateName = keyof typeof states;

/** One user of one interleaving. */
export interface Subject {
  id: string;
  username: string;
  directoryId: string;
  active: { id: string; secret: Buffer };
  pending: { id: string; secret: Buffer };
  setId: string;
  clock: TestClock;
  keyFolder: string;
}

/** What of the two flows types which code: two flows with the same number type the same one. */
export type Typing = 0 | 1;

export type Flow = (deps: VerificationDeps, subject: Subject, typing: Typing) => Promise<{ outcome: string }>;

const printedPass = "AAAA-BBBB-CCCC-DDDD";
const printedCodes = ["AAAA-BBBB-CCCC", "DDDD-EEEE-FFFF"] as const;

function codeFor(secret: Buffer, { clock }: Subject, typing: Typing): string {
  return totpOf(secret, new Date(clock.now().getTime() + typing * stepMs));
}

export const flows = {
  begin: (deps, { username }) => beginEnrollment(deps, { name: { username }, actor: caller }),
  beginWithPass: (deps, subject) => beginEnrollment(deps, { ...inputOf(subject), passAsTyped: printedPass }),
  issuePass: (deps, { id }) => issueEnrollmentPass(deps, { userId: id, actor: admin }),
  replace: (deps, subject, typing) =>
    beginEnrollment(deps, {
      ...inputOf(subject),
      totpAsTyped: codeFor(subject.active.secret, subject, typing),
    }),
  replaceWithBackupCode: (deps, subject, typing) =>
    beginEnrollment(deps, { ...inputOf(subject), backupCodeAsTyped: printedCodes[typing] }),
  confirm: (deps, subject, typing) =>
    confirmEnrollment(deps, {
      ...inputOf(subject),
      totpAsTyped: codeFor(subject.pending.secret, subject, typing),
    }),
  disable: (deps, subject, typing) =>
    disableMfa(deps, { ...inputOf(subject), totpAsTyped: codeFor(subject.active.secret, subject, typing) }),
  regenerate: (deps, subject, typing) =>
    regenerateBackupCodes(deps, {
      ...inputOf(subject),
      totpAsTyped: codeFor(subject.active.secret, subject, typing),
    }),
  verifyTotp: (deps, subject, typing) => {
    const codeAsTyped = codeFor(subject.active.secret, subject, typing);
    return verifyCode(deps, { ...inputOf(subject), code: { method: "totp", codeAsTyped } });
  },
  verifyBackupCode: (deps, subject, typing) => {
    const codeAsTyped = printedCodes[typing];
    return verifyCode(deps, { ...inputOf(subject), code: { method: "backup-code", codeAsTyped } });
  },
  disableByAdmin: (deps, { id }) => disableMfaByAdmin(deps, { userId: id, actor: admin }),
  unlock: (deps, { id }) => unlockUser(deps, { userId: id, actor: admin }),
  require: async (deps, { id }) => ({
    outcome: (await setRequiredByAdmin(deps, { userId: id, required: true, actor: admin }))
      ? "done"
      : "user-unknown",
  }),
  purge: async (deps) => ({
    outcome: `purged ${await purgeRemovedUsers(deps, { retentionMs: monthMs, actor: retention })}`,
  }),
  // To a new key each time, since none comes back after it was retired.
  rotate: async ({ db, clock, log }, { keyFolder: folder }) => {
    const { id: to } = await generateKey({ folder, clock, randomBytes });
    const { unreadable } = await rotateKeys({ db, folder, log, randomBytes }, { to, actor: admin });
    return { outcome: unreadable.length === 0 ? "rotated" : "unreadable" };
  },
  settleRestored: async ({ db, clock }) => {
    await settleRestoredDatabase({ db, clock, windowSteps: 1 }, { endBackupCodes: true, actor: admin });
    return { outcome: "settled" };
  },
  // What a run does to this one user, in a transaction as it does it.
  remove: async ({ db }, subject) =>
    inTransaction(db, async (trx) => {
      await removeUsers(trx, await planFor(trx, subject, "remove"));
      return { outcome: "done" };
    }),
  restore: async ({ db }, subject) =>
    inTransaction(db, async (trx) => {
      const run = await planFor(trx, subject, "restore");
      const restored = await lockRestored(trx, run);
      await updateUsers(trx, run);
      return { outcome: `restored ${restored}` };
    }),
  disableInDirectory: async ({ db }, subject) =>
    inTransaction(db, async (trx) => {
      await updateUsers(trx, await planFor(trx, subject, "disable"));
      return { outcome: "done" };
    }),
  // Both names are configured where codes are judged, as while the daemons are restarted one after the other.
  renameDirectory: async ({ db }) => {
    const deps = { db, holder: randomUUID(), directories: [newDirectory] };
    const names = { oldName: oldDirectory, newName: newDirectory };
    try {
      const { users } = await renameDirectory(deps, { ...names, actor: admin });
      return { outcome: `renamed with ${users}` };
    } catch (error) {
      if (error instanceof AppError && error.code === "invalid-usage") return { outcome: "nothing-stored" };
      throw error;
    }
  },
} satisfies Record<string, Flow>;
export type FlowName = keyof typeof flows;

async function planFor(trx: Transaction, subject: Subject, action: "remove" | "restore" | "disable") {
  const run = { id: randomUUID(), directory: oldDirectory, approves: null, approvedPlan: null };
  const { directoryId, username } = subject;
  const of = { run_id: run.id, directory_id: directoryId, username, dn: username };
  await trx("sync_changes").insert({ ...of, user_id: subject.id, action, reasons: [] });
  if (action !== "remove") {
    const keys = { username_key: username, dn_key: username, entry_hash: "-" };
    await trx("staged_entries").insert({
      ...of,
      ...keys,
      disabled: action === "disable",
      user_id: subject.id,
    });
  }
  return run;
}

function inputOf({ username }: Subject) {
  return { name: { username }, actor: caller };
}

/** Makes users of one state. Their codes before the clock's present step are spent. */
export async function createSubjects(
  world: VerificationWorld,
  state: StateName,
  count: number,
): Promise<Subject[]> {
  const wanted = states[state];
  await world.deps.keys.refresh(); // a rotation may have gone before
  const key = world.deps.keys.active();
  const salt = randomBytes(16);
  const { hasher } = world.deps;
  const kdf = hasher.kdfOfNewSets;
  const hashes: Buffer[] = [];
  for (const code of printedCodes) {
    hashes.push(await hasher.hashNew({ canonicalCode: canonicalBackupCode(code) ?? "", salt, kdf }));
  }
  const subjects = Array.from({ length: count }, (): Subject => {
    const authenticator = () => ({ id: randomUUID(), secret: randomBytes(20) });
    const username = `user-${randomUUID()}`;
    return {
      id: randomUUID(),
      username,
      directoryId: username,
      active: authenticator(),
      pending: authenticator(),
      setId: randomUUID(),
      clock: world.clock,
      keyFolder: world.folder,
    };
  });
  const sealed = (owner: string, purpose: "totp-secret" | "backup-codes", plain: Buffer) =>
    seal(key, { purpose, owner }, plain, randomBytes(nonceBytes));
  const presentStep = Math.floor(world.clock.now().getTime() / stepMs);
  await world.database.db.transaction(async (trx) => {
    await trx("users").insert(
      subjects.map(({ id, username, directoryId }) => ({
        id,
        directory: oldDirectory,
        directory_id: directoryId,
        username,
        username_key: username,
        dn: username,
        dn_key: username,
        state: wanted.user,
        removed_at: wanted.user === "removed" ? new Date() : null,
        entry_hash: "-",
        required_new_user: false,
      })),
    );
    const rows = subjects.flatMap(({ id, active, pending }) => [
      ...(wanted.active
        ? [
            {
              id: active.id,
              user_id: id,
              state: "active",
              key_id: key.id,
              sealed: sealed(id, "totp-secret", active.secret),
              last_step: presentStep - 1,
              confirmed_at: new Date(),
              expires_at: null,
              replaces: null,
            },
          ]
        : []),
      ...(wanted.pending
        ? [
            {
              id: pending.id,
              user_id: id,
              state: "pending",
              key_id: key.id,
              sealed: sealed(id, "totp-secret", pending.secret),
              last_step: -1,
              confirmed_at: null,
              expires_at: new Date(Date.now() + 600_000),
              replaces: wanted.active ? active.id : null,
            },
          ]
        : []),
    ]);
    await trx("authenticators").insert(rows);
    // With failures to forget and to end, so that the flows that do so write these rows.
    await trx("lockouts").insert(
      subjects.flatMap(({ id }) =>
        ["totp", "backup-code"].map((method) => ({ user_id: id, method, failures: 1 })),
      ),
    );
    if (state === "withPass") {
      const expires_at = new Date(Date.now() + 600_000);
      const hash = (id: string) => passHash(id, printedPass.replaceAll("-", ""));
      await trx("enrollment_passes").insert(
        subjects.map(({ id }) => ({ user_id: id, hash: hash(id), expires_at })),
      );
    }
    if (!wanted.active) return;
    await trx("backup_code_sets").insert(
      subjects.map(({ id, active, setId }) => ({
        id: setId,
        authenticator_id: active.id,
        kdf,
        salt,
        key_id: key.id,
        sealed: sealed(id, "backup-codes", Buffer.concat(hashes)),
      })),
    );
    await trx("backup_codes").insert(
      subjects.flatMap(({ setId }) => printedCodes.map((_, position) => ({ set_id: setId, position }))),
    );
  });
  return subjects;
}

/** Makes a removed user one whose retention time is over. */
export async function endRetention({ database }: VerificationWorld, { id }: Subject): Promise<void> {
  await database
    .db("users")
    .where({ id, state: "removed" })
    .update({ removed_at: new Date("2020-01-01") });
}

/** The rows and events of one user, in words that are the same for every user that went the same way. */
export interface Traces {
  user: string;
  authenticators: string[];
  lockouts: string[];
  passes: string[];
  events: string[];
}

/** Reads them, and takes the user away, so that no later flow of the search meets it. */
export async function takeTraces(world: VerificationWorld, subject: Subject): Promise<Traces> {
  const { db } = world.database;
  const nameOf = (id: string | null) =>
    id === subject.active.id ? "first" : id === subject.pending.id ? "begun" : id === null ? "none" : "newer";
  const presentStep = Math.floor(subject.clock.now().getTime() / stepMs);
  const [users, authenticators, lockouts, passes, events] = await Promise.all([
    db("users").where({ id: subject.id }),
    db.raw(
      `select a.id, a.state, a.last_step, a.replaces, s.id as set_id,
         (select bool_and(k.state = 'active') from sealing_keys k where k.id in (a.key_id, s.key_id)) as key_active,
         (select string_agg(c.position::text, ',' order by c.position) from backup_codes c
          where c.set_id = s.id and c.spent_at is null) as unspent
       from authenticators a left join backup_code_sets s on s.authenticator_id = a.id
       where a.user_id = ? order by a.state`,
      [subject.id],
    ),
    db("lockouts").where({ user_id: subject.id }).orderBy("method"),
    db("enrollment_passes").where({ user_id: subject.id }),
    db("audit_events").where({ user_id: subject.id }),
  ]);
  const firstPass = passHash(subject.id, printedPass.replaceAll("-", ""));
  await db("users").where({ id: subject.id }).delete();
  return {
    user: users[0]
      ? `${users[0].state} in ${users[0].directory}, required: ${users[0].required_by_admin}`
      : "gone",
    authenticators: authenticators.rows.map(
      (row: {
        id: string;
        state: string;
        last_step: string;
        replaces: string;
        set_id: string;
        unspent: string;
        key_active: boolean;
      }) => {
        const step = row.last_step === "-1" ? "unused" : stepOf(Number(row.last_step) - presentStep);
        const set =
          row.set_id === null
            ? "no codes"
            : `${row.set_id === subject.setId ? "first" : "new"} codes ${row.unspent}`;
        const key = row.key_active ? "" : ", by another key";
        return `${nameOf(row.id)} ${row.state}${key}, ${step}, replaces ${nameOf(row.replaces)}, ${set}`;
      },
    ),
    lockouts: lockouts.map((row) => `${row.method} ${row.failures}`),
    passes: passes.map(({ hash }) => (firstPass.equals(hash) ? "first" : "newer")),
    events: events
      .map(({ action, outcome, details }) => {
        const { purpose = "", replaces = "", byAdmin = "" } = details;
        return [action, outcome, purpose, replaces, byAdmin].filter((part) => part !== "").join(" ");
      })
      .sort(),
  };
}

/** After a restore every code is spent up to the present of the database's clock, which the tests' clock knows nothing of. */
function stepOf(step: number): string {
  return step > 1000 ? "all steps" : `step ${step}`;
}
