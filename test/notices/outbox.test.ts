// Rule 32, the first half: a notice is written in the transaction of the act it tells of, and holds no secret.

import { expect, test } from "vitest";
import { recordAuditEvent } from "../../src/audit/audit-events-table.ts";
import { findStates } from "../../src/notices/notices.ts";
import { deleteEnded, giveUp, listNotices } from "../../src/notices/notices-table.ts";
import { retryNotices } from "../../src/notices/retry-notices.ts";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import { confirmEnrollment } from "../../src/verification/confirm-enrollment.ts";
import { disableMfa, disableMfaByAdmin } from "../../src/verification/disable-mfa.ts";
import { verifyCode } from "../../src/verification/verify-code.ts";
import {
  admin,
  caller,
  type EnrolledUser,
  eachTestInVerificationWorld,
  secretOf,
  type VerificationWorld,
} from "../verification/verification-world.ts";
import { mailConfigOf, noticesConfigOf, noticesIn } from "./notices-world.ts";

let world: VerificationWorld;
eachTestInVerificationWorld((opened) => {
  world = opened;
});

async function withAddress<User extends { id: string }>(user: User): Promise<User> {
  const { db } = world.database;
  await db("users").where({ id: user.id }).update({ email: "ada@example.org" });
  await db("notices").delete();
  return user;
}
const enrolled = async (): Promise<EnrolledUser> => withAddress(await world.addEnrolledUser());
const kinds = async () => (await noticesIn(world.database.db)).map(({ kind }) => kind);

test("enrolling, replacing, disabling and a reset are told to the user, with the address of that moment", async () => {
  const user = await withAddress(await world.addUser());
  const { db } = world.database;
  const name = { username: user.username };
  const enroll = async (totpAsTyped?: string) => {
    const begun = await beginEnrollment(world.deps, { name, actor: caller, totpAsTyped });
    if (begun.outcome !== "begun") throw new Error(begun.outcome);
    const secret = secretOf(begun.secretPlain);
    await confirmEnrollment(world.deps, { name, actor: caller, totpAsTyped: world.codeOf({ secret }) });
    world.clock.step();
    return secret;
  };
  const first = await enroll();
  const second = await enroll(world.codeOf({ secret: first }));
  await db("users").where({ id: user.id }).update({ email: "thief@example.org" });
  await disableMfa(world.deps, { name, actor: caller, totpAsTyped: world.codeOf({ secret: second }) });
  await enroll();
  await disableMfaByAdmin(world.deps, { userId: user.id, actor: admin });
  await disableMfaByAdmin(world.deps, { userId: user.id, actor: admin }); // not enrolled any more
  expect(await kinds()).toEqual(["enrolled", "replaced", "disabled", "enrolled", "disabled-by-admin"]);
  const addresses = (await noticesIn(db)).map(({ address }) => address);
  expect(addresses.slice(0, 2)).toEqual(["ada@example.org", "ada@example.org"]);
});

test("a used backup code is told with how many are left, and holds no code", async () => {
  const user = await enrolled();
  const [code = ""] = user.backupCodes;
  expect(await world.verify(user, code, "backup-code")).toMatchObject({ outcome: "accepted" });
  const rows = await noticesIn(world.database.db);
  expect(rows).toMatchObject([{ kind: "backup-code-used", facts: { remaining: 3, at: expect.any(String) } }]);
  expect(JSON.stringify(rows)).not.toContain(code.slice(0, 4));
});

test("a lockout is told once, when it begins; wrong codes and sign-ins are not", async () => {
  const user = await enrolled();
  const wrong = world.wrongCodeOf(user);
  await world.verify(user, wrong);
  await world.verify(user, world.codeOf(user));
  world.clock.step();
  expect(await kinds()).toEqual([]);
  for (let i = 0; i < 8; i++) await world.verify(user, wrong);
  const rows = await noticesIn(world.database.db);
  expect(rows).toMatchObject([
    { kind: "locked-out", facts: { method: "totp", lockedUntil: expect.any(String) } },
  ]);
});

test("an act that is rolled back leaves no notice, and one of a user without an address none either", async () => {
  const user = await enrolled();
  const { db } = world.database;
  const stopped = AbortSignal.abort(new Error("gone"));
  const code = { method: "backup-code", codeAsTyped: user.backupCodes[0] ?? "" } as const;
  await verifyCode(world.deps, { name: user, code, actor: caller, signal: stopped }).catch(() => {});
  await db
    .transaction(async (trx) => {
      const event = { actor: admin, action: "mfa-disable", userId: user.id, directory: "main" } as const;
      await recordAuditEvent(trx, { ...event, outcome: "done" });
      throw new Error("rolled back");
    })
    .catch(() => {});
  const silent = await world.addEnrolledUser();
  await world.verify(silent, silent.backupCodes[0] ?? "", "backup-code");
  expect(await kinds()).toEqual([]);
});

test("whatever an audit event holds, writing it does not fail for the notice", async () => {
  const user = await enrolled();
  const hostile = [
    {},
    { replaces: "yes" },
    { method: 7, lockedUntil: { deep: [] } },
    { runId: null },
    { byAdmin: 1 },
  ];
  for (const action of [
    "enrollment-confirm",
    "mfa-disable",
    "verification",
    "sync-hold",
    "seal-broken",
  ] as const) {
    for (const details of hostile) {
      for (const outcome of ["done", "accepted", "wrong-code"]) {
        await world.database.db.transaction((trx) =>
          recordAuditEvent(trx, {
            actor: admin,
            action,
            userId: user.id,
            directory: "main",
            outcome,
            details,
          }),
        );
      }
    }
  }
  // Once an hour and channel, however often a key is missed.
  expect((await kinds()).filter((kind) => kind === "seal-broken").length).toBeLessThanOrEqual(4);
});

test("who must enroll is told when the grace period begins and before it ends, once, and not after enrolling", async () => {
  const { db } = world.database;
  const user = await withAddress(await world.addUser());
  const config = noticesConfigOf({ mail: mailConfigOf(0) });
  const find = () => findStates({ db, config: () => config, directories: () => ["main"] });
  const day = 86_400_000;
  const setDeadline = (inDays: number, sinceDays = 20, id = user.id) =>
    db("users")
      .where({ id })
      .update({
        required_since: new Date(Date.now() - sinceDays * day),
        enrollment_deadline: new Date(Date.now() + inDays * day),
      });
  await setDeadline(10);
  await Promise.all([find(), find()]);
  await find();
  expect(await kinds()).toEqual(["must-enroll"]);
  await db("notices").delete();
  await setDeadline(6);
  await find();
  expect((await kinds()).toSorted()).toEqual(["must-enroll", "reminder"]);
  await db("notices").delete();
  await setDeadline(-1);
  await find();
  expect(await kinds()).toEqual([]);
  // Too short for the reminder of a week before: it would come with the first notice.
  await setDeadline(3, 2);
  await find();
  expect(await kinds()).toEqual(["must-enroll"]);
  await setDeadline(-1);
  const { id } = await enrolled();
  await setDeadline(6, 20, id);
  await find();
  expect(await kinds()).toEqual([]);
});

test("held runs, failing runs and directories that are not read are told to admins, through each channel once", async () => {
  const { db } = world.database;
  const run = (status: string, minutesAgo: number) =>
    db("sync_runs").insert({
      directory: "main",
      kind: "full",
      trigger: "schedule",
      requested_by: "schedule",
      dry_run: false,
      status,
      fencing_token: 1,
      started_at: new Date(Date.now() - minutesAgo * 60_000),
      finished_at: new Date(),
      error_code: status === "failed" ? "directory-unreachable" : null,
      error_message: status === "failed" ? "no" : null,
    });
  await db("sync_runs").delete();
  await db("directories").delete();
  await db("directories").insert({ name: "main", last_complete_at: new Date(Date.now() - 2 * 86_400_000) });
  const config = noticesConfigOf({ mail: mailConfigOf(0), adminAddresses: ["ops@example.org"] });
  const find = () => findStates({ db, config: () => config, directories: () => ["main"] });
  await run("succeeded", 40);
  await run("failed", 30);
  await run("failed", 20);
  await find();
  await run("failed", 10);
  await find();
  await run("failed", 5);
  await find();
  await db.transaction((trx) =>
    recordAuditEvent(trx, {
      actor: admin,
      action: "sync-hold",
      directory: "main",
      outcome: "held",
      details: { runId: "00000000-0000-4000-8000-000000000000", reasons: [] },
    }),
  );
  const told = (await noticesIn(db)).map(({ kind, channel }) => `${kind} ${channel}`).toSorted();
  expect(told).toEqual(
    ["directory-stale", "run-held", "runs-failed"].flatMap((kind) => [`${kind} mail`, `${kind} webhook`]),
  );
  await db("notices").delete();
});

test("what is too old is given up, or forgotten where its channel is not configured, and can be tried again", async () => {
  const { db } = world.database;
  await db("notices").insert([
    { kind: "run-held", channel: "mail", directory: "main", created_at: "2026-01-01" },
    { kind: "run-held", channel: "webhook", directory: "main", created_at: "2026-01-01" },
  ]);
  await giveUp(db, { afterMs: 86_400_000, channels: ["mail"] });
  expect(await noticesIn(db)).toMatchObject([{ channel: "mail", state: "dead" }]);
  const [dead] = await listNotices(db, { state: "dead", limit: 10 });
  const retry = { id: dead?.id, actor: admin };
  expect(await retryNotices({ db }, retry)).toBe(1);
  expect(await retryNotices({ db }, retry)).toBe(0);
  expect(await db("audit_events").where({ action: "notice-retry" })).toMatchObject([
    { actor: admin.name, outcome: "done", details: { notices: 1, noticeId: dead?.id } },
  ]);
  await giveUp(db, { afterMs: 86_400_000, channels: ["mail"] });
  expect(await noticesIn(db)).toMatchObject([{ state: "waiting", attempts: 0 }]);
  await db("notices").update({ state: "delivered", ended_at: "2026-01-01" });
  await deleteEnded(db, 86_400_000);
  expect(await noticesIn(db)).toEqual([]);
});
