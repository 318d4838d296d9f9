// A backup that was really taken and restored: what was spent and revoked after it stays so as far as it can (rules 4, 15, 16).

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { ensureServers } from "../../scripts/servers/install-servers.ts";
import { applyPolicy } from "../../src/users/apply-policy.ts";
import { mfaPolicyOf } from "../../src/users/policy.ts";
import { beginEnrollment } from "../../src/verification/begin-enrollment.ts";
import { runCommand } from "../support/command.ts";
import { createInstallation, type Installation } from "../support/installation.ts";
import { deletions, eachTestInSyncWorld, person, type SyncWorld } from "../support/sync-world.ts";
import {
  caller,
  type EnrolledUser,
  openVerificationWorld,
  type VerificationWorld,
} from "../verification/verification-world.ts";

let world: SyncWorld;
let verification: VerificationWorld;
let installation: Installation;
let folder: string;
let backup: string;
let anna: EnrolledUser;
let ben: EnrolledUser;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dirmfa-backup-"));
  backup = join(folder, "dirmfa.dump");
});
eachTestInSyncWorld({ ldif: person("zoe") }, async (fresh) => {
  world = fresh;
  verification = await openVerificationWorld(world.database);
  // Each enrollment moves it on by a step; the command goes by the time of the day.
  verification.clock.set(new Date(Date.now() - 60_000));
  installation = await createInstallation({
    slapd: world.slapd,
    database: world.database.config,
    config: { keys: { folder: verification.folder } },
  });
  await world.sync();
  anna = await verification.addEnrolledUser("anna");
  ben = await verification.addEnrolledUser("ben");
});
afterEach(async () => {
  await installation.remove();
  await verification.close();
});
afterAll(() => rm(folder, { recursive: true }));

const dirmfa = (...args: string[]) => runCommand("--config", installation.configPath, ...args);
const verify = async (user: EnrolledUser, code: string, method: "totp" | "backup-code" = "totp") =>
  (await verification.verify(user, code, method)).outcome;

async function postgres(program: string, ...args: string[]): Promise<void> {
  const { postgres = "" } = await ensureServers(["postgresql"]);
  if (world.database.config.kind !== "postgres") throw new Error("not a PostgreSQL server");
  await promisify(execFile)(join(dirname(postgres), program), [
    ...args,
    `--dbname=${world.database.config.url}`,
  ]);
}

test("after a restore no code works that was spent since, and the admin is told what is lost", async () => {
  const newcomer = await verification.addUser({ username: "newcomer" });
  const [, pass] = /^enrollment pass +(\S+)$/m.exec((await dirmfa("user", "pass", "newcomer")).stdout) ?? [];
  const begin = () =>
    beginEnrollment(verification.deps, { name: newcomer, actor: caller, passAsTyped: pass });
  await postgres("pg_dump", "--format=custom", `--file=${backup}`);
  const spent = verification.codeOf(anna);
  expect(await verify(anna, spent)).toBe("accepted");
  expect((await begin()).outcome).toBe("begun");
  expect(await verify(ben, ben.backupCodes[0] ?? "", "backup-code")).toBe("accepted");
  await world.slapd.modify(deletions(["zoe"]));
  await world.slapd.add(person("yan"));

  await postgres("pg_restore", "--clean", "--if-exists", "--single-transaction", backup);
  const answer = await dirmfa("database", "restored", "--end-backup-codes");
  expect(answer).toMatchObject({ code: 0, stderr: "" });
  expect(answer.stdout).toContain("2 authenticators take no code from before now.\n");
  expect(answer.stdout).toContain("1 enrollment passes are ended");
  expect((await begin()).outcome).toBe("code-rejected");
  expect(answer.stdout).toContain("The backup codes of 2 users are ended");
  expect(answer.stdout).toMatch(/The backup's last event is of \d{4}-\S+Z\. Lost is what was done after it:/);

  // Without the command both are accepted a second time.
  expect(await verify(anna, spent)).toBe("code-rejected");
  expect(await verify(ben, ben.backupCodes[0] ?? "", "backup-code")).toBe("code-rejected");
  const now = verification.clock.now();
  verification.clock.step(3);
  expect(await verify(anna, verification.codeOf(anna))).toBe("accepted");
  verification.clock.set(now);

  // The store does not know how far the directory had got.
  expect(await world.sync()).toMatchObject({
    counts: { added: 1, removed: 0 },
    notes: [{ code: "another-server" }],
  });
  expect((await world.sync()).counts).toMatchObject({ removed: 1 });
  expect(await world.database.db("audit_events").where({ action: "database-restored" })).toMatchObject([
    { via: "cli", details: { authenticators: 2, backupCodesEnded: true } },
  ]);
});

test("users whose authenticator changed after the backup are named in a file, and enroll again", async () => {
  const file = join(folder, "changed-since");
  await writeFile(file, `ben\nnobody\n`);
  const refused = await dirmfa("database", "restored", "--reset", file);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("There is no user nobody.") });
  await writeFile(file, `ben\n`);
  const answer = await dirmfa("database", "restored", "--reset", file);
  expect(answer.stdout).toContain("1 of the 1 users named have to enroll again.");
  expect(await verify(ben, verification.codeOf(ben))).toBe("not-enrolled");
});

test("a backup with another policy than the configuration's is told, and the daemon's start puts the present one in force", async () => {
  const { db } = world.database;
  const told = "The MFA policy in force is the backup's, of ";
  await applyPolicy(
    { db, policy: mfaPolicyOf({ ...world.mfa, mode: "required" }), directories: ["example"] },
    caller,
  );
  expect((await dirmfa("database", "restored")).stdout).toContain(told);
  expect(JSON.parse((await dirmfa("database", "restored", "--json")).stdout).otherPolicySince).toMatch(
    /^\d{4}-/,
  );
  await installation.serve();
  expect((await dirmfa("database", "restored")).stdout).not.toContain(told);
});
