// The commands of the help desk and the security officer: lost phones, lockouts, sealing keys, and the audit's proof.

import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sealAuditEvents } from "../../src/audit/seal-audit-events.ts";
import { systemClock } from "../../src/clock.ts";
import { openChainKey } from "../../src/sealing/chain-key.ts";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import { runCommand, runCommandIn } from "../support/command.ts";
import { createInstallation, type Installation } from "../support/installation.ts";
import {
  caller,
  type EnrolledUser,
  openVerificationWorld,
  type VerificationWorld,
} from "../verification/verification-world.ts";

let world: VerificationWorld;
let installation: Installation;
beforeAll(async () => {
  world = await openVerificationWorld();
  installation = await createInstallation({
    slapd: undefined,
    database: world.database.config,
    config: { keys: { folder: world.folder } },
  });
});
afterAll(async () => {
  await installation.remove();
  await world.close();
});

const dirmfa = (...args: string[]) => runCommand("--config", installation.configPath, ...args);

async function verify(user: EnrolledUser, codeAsTyped: string, deps = world.deps): Promise<string> {
  return (await world.verify(user, codeAsTyped, "totp", deps)).outcome;
}

test("user unlock ends a lockout that user show tells of", async () => {
  const user = await world.addEnrolledUser("locked");
  for (let failure = 0; failure < 5; failure++) await verify(user, world.wrongCodeOf(user));
  expect((await dirmfa("user", "show", "locked")).stdout).toMatch(/^locked out +totp until \S+Z$/m);
  expect(await dirmfa("user", "unlock", "locked")).toMatchObject({
    code: 0,
    stdout: "Failed codes of locked are forgotten, and lockouts ended: totp.\n",
  });
  expect((await dirmfa("user", "show", "locked")).stdout).toMatch(/^locked out +no$/m);
  expect(await verify(user, world.codeOf(user))).toBe("accepted");
  const { stdout } = await dirmfa("audit", "list", "--user", user.id, "--action", "unlock");
  expect(stdout).toMatch(/ cli +unlock +done +\S+ +methods=\["totp"\]$/m);
});

test("the audit names who is behind sudo, for whom they act, and the account", async () => {
  const { id } = await world.addUser({ username: "acted-on" });
  const account = userInfo().username;
  const unlockBy = (env: NodeJS.ProcessEnv, ...args: string[]) =>
    runCommandIn(env, "--config", installation.configPath, ...args, "user", "unlock", "acted-on");
  await unlockBy({});
  await unlockBy({ SUDO_USER: "alice" });
  await unlockBy({ SUDO_USER: account });
  await unlockBy({ SUDO_USER: "alice" }, "--actor", " Jane Doe, ticket 17 ");
  await unlockBy({}, "--actor", "jane");
  await unlockBy({ SUDO_USER: "a\u202eb" });
  const events = await world.database.db("audit_events").where({ user_id: id }).orderBy("id").pluck("actor");
  expect(events).toEqual([
    account,
    `alice as ${account}`,
    account,
    `Jane Doe, ticket 17 (alice as ${account})`,
    `jane (${account})`,
    account,
  ]);
  for (const name of ["", " ", "x".repeat(201), "a\nb", "a\u202eb"]) {
    expect(await unlockBy({}, "--actor", name)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--actor must be"),
    });
  }
});

test("user disable-mfa needs no code, and says when there was nothing to disable", async () => {
  const user = await world.addEnrolledUser("lost-phone");
  expect((await dirmfa("user", "show", "lost-phone")).stdout).toMatch(
    /^authenticator +since \S+Z, 4 backup codes left$/m,
  );
  const disabled = await dirmfa("user", "disable-mfa", "lost-phone");
  expect(disabled).toMatchObject({
    code: 0,
    stdout: "The authenticator and backup codes of lost-phone are gone.\n",
  });
  expect(await verify(user, world.codeOf(user))).toBe("not-enrolled");
  const again = await dirmfa("user", "disable-mfa", "lost-phone");
  expect(again.stdout).toBe("lost-phone has no authenticator.\n");
});

test("user pass prints a pass once, and disable-mfa can issue one", async () => {
  const user = await world.addUser({ username: "newcomer" });
  const { code, stdout } = await dirmfa("user", "pass", "newcomer");
  expect(code).toBe(0);
  const pass = /^enrollment pass +((?:[0-9A-Z]{4}-){3}[0-9A-Z]{4})$/m.exec(stdout)?.[1];
  expect(stdout).toMatch(/^good until +\S+Z, once$/m);
  expect((await dirmfa("user", "show", "newcomer")).stdout).toMatch(/^enrollment pass +good until \S+Z$/m);
  const begun = await beginEnrollment(await world.replica({ enrollmentPass: "required" }), {
    name: user,
    passAsTyped: pass,
    actor: caller,
  });
  await world.replica();
  expect(begun.outcome).toBe("begun");
  expect((await dirmfa("user", "show", "newcomer")).stdout).toMatch(/^enrollment pass +none$/m);

  await world.addEnrolledUser("with-phone");
  const refused = await dirmfa("user", "pass", "with-phone");
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("disable-mfa") });
  const reset = await dirmfa("user", "disable-mfa", "with-phone", "--pass", "--json");
  expect(JSON.parse(reset.stdout)).toMatchObject({
    outcome: "disabled",
    pass: { enrollmentPass: expect.any(String) },
  });
});

test("key rotate names a value that no key opens and exits with 1; without one, the old file is only needed by backups", async () => {
  const [sound, broken] = [await world.addEnrolledUser("sound"), await world.addEnrolledUser("broken")];
  await world.database
    .db("authenticators")
    .where({ user_id: broken.id })
    .update({ sealed: Buffer.alloc(48) });
  const { id } = JSON.parse((await dirmfa("key", "generate", "--json")).stdout);
  const incomplete = await dirmfa("key", "rotate");
  expect(incomplete.stdout).toContain(`${id} is active; `);
  expect(incomplete.stdout).toMatch(/^No key opens authenticators \S+; the user has to enroll again/m);
  expect(incomplete.code).toBe(1);
  expect((await dirmfa("key", "status")).stdout).toMatch(/^first +retiring +present +1 /m);

  await dirmfa("user", "disable-mfa", "broken");
  const complete = await dirmfa("key", "rotate");
  expect(complete.stdout).toContain(
    "first seals nothing any more. Keep its file as long as a backup from before now.",
  );
  expect(complete.code).toBe(0);
  await rm(join(world.folder, "first.key"));
  expect((await dirmfa("key", "status")).stdout).toMatch(/^first +retired +missing +0 /m);
  const replica = await world.replica();
  expect(await verify(sound, world.codeOf(sound), replica)).toBe("accepted");
});

test("audit verify names an event that was edited, and an end that was cut off, and exits with 1", async () => {
  const { db } = world.database;
  const { keys } = await world.replica();
  await sealAuditEvents({
    db,
    chainKey: await openChainKey({ db, keys, randomBytes }),
    holder: "test",
    clock: systemClock,
  });
  const sound = await dirmfa("audit", "verify");
  expect(sound.stdout).toMatch(/^\d+ events are as they were sealed\.$/m);
  expect(sound.code).toBe(0);
  const [, head = ""] = /^Head, to note outside the database: (\S+)$/m.exec(sound.stdout) ?? [];
  const last: string = (await db("audit_events").orderBy("id").pluck("id")).at(-1);

  await tamper("update audit_events set actor = 'nobody' where id = 2");
  const edited = await dirmfa("audit", "verify", "--head", head);
  expect(edited.stdout).toMatch(
    /^Event 2 was edited at position 2\.\n\d+ events are NOT as they were sealed\.$/m,
  );
  expect(edited.code).toBe(1);

  await tamper("delete from audit_events where id = :last", { last });
  await tamper("delete from audit_seals where event_id = :last", { last });
  const cut = await dirmfa("audit", "verify", "--head", head);
  expect(cut.stdout).toContain("The head that was noted is not in the chain");
  expect(cut.code).toBe(1);
});

/** As someone does who has all rights on the database. */
async function tamper(statement: string, bindings: Record<string, string> = {}): Promise<void> {
  await world.database.db.transaction(async (trx) => {
    await trx.raw("set local session_replication_role = replica");
    await trx.raw(statement, bindings);
  });
}

test.each([
  [["audit", "verify", "--head", "1:abc"], "--head wants what an earlier `audit verify` printed"],
  [["audit", "list", "--since", "yesterday"], "--since wants a time"],
  [["key", "rotate"], "dirmfa key generate"],
])("wrong usage %j exits with 2 and says what is wanted", async (args, words) => {
  const { code, stderr } = await dirmfa(...args);
  expect(stderr).toContain(words);
  expect(code).toBe(2);
});
