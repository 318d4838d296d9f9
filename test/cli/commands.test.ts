// The command line as an admin types it: what is printed, and the exit codes.

import { PassThrough } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { runCommandLine } from "../../src/cli/command-line.ts";
import { reportFailure } from "../../src/cli/report-failure.ts";
import { runCommand } from "../support/command.ts";
import { createInstallation, type Installation } from "../support/installation.ts";
import { deletions, openSyncWorld, people, person, type SyncWorld } from "../support/sync-world.ts";

let world: SyncWorld;
let installation: Installation;
/** The run that has read the thirty of the directory. */
let imported: Awaited<ReturnType<typeof dirmfa>>;
let importId: string;
beforeAll(async () => {
  world = await openSyncWorld({ ldif: people(30) });
  installation = await createInstallation({
    slapd: world.slapd,
    database: world.database.config,
    config: { mfa: { requireForNewUsers: true } },
  });
  imported = await dirmfa("sync");
  [, importId = ""] = /run ([0-9a-f-]{36})/.exec(imported.stdout) ?? [];
});
afterAll(async () => {
  await installation.remove();
  await world.stop();
});

const dirmfa = (...args: string[]) => runCommand("--config", installation.configPath, ...args);
const json = async (...args: string[]) => JSON.parse((await dirmfa(...args, "--json")).stdout);

test("sync prints a summary and exits with 0", () => {
  const { code, stdout, stderr } = imported;
  expect(stdout).toMatch(
    /^example: succeeded in \d+\.\d s\n {2}30 listed, 30 added\n {2}30 of them will be stopped at their next sign-in until they enroll: MFA is required for new users \(30\)\.\n {2}run [0-9a-f-]{36}\n$/,
  );
  expect(stderr).toBe("");
  expect(code).toBe(0);
});

test("run show names each user of the plan with its reason", async () => {
  const { stdout } = await dirmfa("run", "show", importId);
  expect(stdout).toMatch(/^ {2}started +[0-9TZ:.-]+, requested by \S+$/m);
  expect(stdout).toMatch(/^ACTION +USERNAME +REASONS +DN$/m);
  expect(stdout).toMatch(/^add +user0007 +new-in-directory +uid=user0007,ou=people,dc=example,dc=org$/m);
  expect((await json("run", "show", importId)).changes).toHaveLength(30);
});

test("run show says how many users it leaves out", async () => {
  expect((await dirmfa("run", "show", importId, "--limit", "3")).stdout).toContain("… and 27 more");
});

test("--version prints the package's version", async () => {
  expect(await dirmfa("--version")).toEqual({ code: 0, stdout: `${packageJson.version}\n`, stderr: "" });
});

test("user require and unrequire change one user, and say what holds now", async () => {
  const required = "MFA is required for user0003: required-new-user, required-by-admin.\n";
  expect((await dirmfa("user", "require", "USER0003")).stdout).toBe(required);
  expect((await dirmfa("user", "unrequire", "user0003")).stdout).toBe("MFA is not required for user0003.\n");
  expect((await dirmfa("user", "require", "user0003")).stdout).toBe(required);
  const events = (await json("audit", "list")).events.map(
    ({ action, via }: { action: string; via: string }) => [action, via],
  );
  expect(events).toEqual(
    expect.arrayContaining([
      ["mfa-require", "cli"],
      ["mfa-unrequire", "cli"],
    ]),
  );
});

test("user list finds by parts of names and by requirement", async () => {
  await dirmfa("user", "unrequire", "user0001");
  expect((await json("user", "list", "--search", "R0001")).users).toMatchObject([{ username: "user0001" }]);
  expect((await json("user", "list", "--no-required")).users).toMatchObject([{ username: "user0001" }]);
  expect((await json("user", "list", "--required", "--limit", "5")).users).toHaveLength(5);
});

test("user list prints those who have to enroll before a date as CSV, whole", async () => {
  await dirmfa("user", "unrequire", "user0001");
  const { code, stdout } = await dirmfa(
    "user",
    "list",
    "--not-enrolled",
    "--deadline-before",
    "2100-01-01",
    "--csv",
  );
  expect(code).toBe(0);
  const lines = stdout.split("\r\n");
  expect(lines[0]).toMatch(/^id,directory,username,displayName,email,state,required,requiredBy,/);
  expect(lines).toHaveLength(1 + 29 + 1);
  expect((await dirmfa("user", "list", "--csv", "--limit", "3")).code).toBe(2);
  expect((await dirmfa("user", "list", "--deadline-before", "soon")).stderr).toContain(
    "--deadline-before wants a time",
  );
});

test("notice list shows what was given up, and retry lets it wait again", async () => {
  await world.database.db("notices").insert({
    kind: "run-held",
    channel: "mail",
    directory: "main",
    state: "dead",
    ended_at: new Date(),
    last_error: "mail: EENVELOPE 550",
  });
  const [dead] = (await json("notice", "list", "--state", "dead")).notices;
  expect((await dirmfa("notice", "list")).stdout).toMatch(
    /run-held +mail +admins +dead +0 +mail: EENVELOPE 550/,
  );
  expect((await dirmfa("notice", "retry")).code).toBe(2);
  expect((await dirmfa("notice", "retry", dead.id)).stdout).toBe("1 dead notice waits for delivery again.\n");
  expect((await dirmfa("notice", "retry", dead.id)).code).toBe(1);
  await world.database.db("notices").delete();
});

test("a list that ends at its limit says so, to programs too", async () => {
  const { code, stdout, stderr } = await dirmfa("user", "list", "--limit", "5", "--json");
  expect(JSON.parse(stdout)).toMatchObject({ more: true });
  expect(stderr).toBe("dirmfa: only the first 5, there are more; --limit shows them.\n");
  expect(code).toBe(0);
  expect(await json("user", "list", "--search", "user00", "--limit", "30")).toMatchObject({ more: false });
  for (const kind of ["run", "audit"]) expect(await json(kind, "list")).toMatchObject({ more: false });
});

test("audit list finds a user's events by name, and a purged user's by id", async () => {
  await dirmfa("user", "require", "user0004");
  const { users } = await json("user", "list", "--search", "user0004");
  const byName = await json("audit", "list", "--user", "USER0004");
  expect(byName.events.length).toBeGreaterThan(0);
  expect(await json("audit", "list", "--user", users[0].id)).toEqual(byName);
  expect((await dirmfa("audit", "list", "--user", "nobody")).stderr).toContain("There is no user nobody");
  expect(await json("audit", "list", "--user", "00000000-0000-4000-8000-000000000000")).toMatchObject({
    events: [],
  });
});

test("unlock says when there was nothing to end", async () => {
  const { stdout } = await dirmfa("user", "unlock", "user0002");
  expect(stdout).toBe("user0002 was not locked out, and had no failed codes.\n");
});

test("user show tells why MFA is required and by when to enroll", async () => {
  const { stdout } = await dirmfa("user", "show", "user0002");
  expect(stdout).toMatch(/^MFA required +required-new-user$/m);
  expect(stdout).toMatch(/^authenticator +none; has to enroll by the next sign-in$/m);
});

test("a held run exits with 3, and approving it carries it out", async () => {
  await world.slapd.add(people(15, "gone"));
  await dirmfa("sync");
  await world.slapd.modify(
    deletions(Array.from({ length: 15 }, (_, n) => `gone${String(n).padStart(4, "0")}`)),
  );
  const removed = async () => (await json("user", "list", "--state", "removed", "--search", "gone")).users;
  const held = await dirmfa("sync");
  expect(held.code).toBe(3);
  const [, id = ""] = /dirmfa run approve ([0-9a-f-]{36})/.exec(held.stdout) ?? [];
  expect(await removed()).toEqual([]);
  const approved = await dirmfa("run", "approve", id);
  expect(approved.stdout).toMatch(/^example: succeeded/);
  expect(approved.code).toBe(0);
  expect(await removed()).toHaveLength(15);
  const again = await dirmfa("run", "approve", id);
  expect(again.code).toBe(1);
  expect(again.stderr).toContain("is not waiting for approval");
});

test("a dry run says that nothing was applied", async () => {
  const { stdout, code } = await dirmfa("sync", "--dry-run", "--directory", "example");
  expect(stdout).toMatch(/^example: succeeded \(dry run: nothing was applied\)/);
  expect(code).toBe(0);
});

test("sync --incremental says why it became a full run, and run list names the kind (rule 25)", async () => {
  const { stdout, code } = await dirmfa("sync", "--incremental");
  expect(stdout).toMatch(
    /^ {2}The run began as an incremental one and became a full one: .* \(no-mark\)\.$/m,
  );
  expect(code).toBe(0);
  expect((await dirmfa("run", "list")).stdout).toMatch(/^\S+ +example +full /m);
  const refused = await dirmfa("sync", "--incremental", "--user", "user0007");
  expect(refused.code).toBe(2);
});

test("key generate, status and audit verify work together", async () => {
  expect((await dirmfa("audit", "verify")).stderr).toContain("There is no sealing key");
  const generated = await dirmfa("key", "generate");
  expect(generated.stdout).toContain("keep a copy apart from the database's backups");
  const verified = await dirmfa("audit", "verify");
  expect(verified.stdout).toMatch(/^0 events are as they were sealed, \d+ wait for their seal\.$/m);
  expect(verified.code).toBe(0);
  expect((await json("key", "status")).keys).toMatchObject([{ state: "active", file: "present" }]);
});

test("token create prints a token once and the digest that goes into the configuration", async () => {
  const { stdout } = await runCommand("token", "create", "--json");
  const { token, tokenSha256 } = JSON.parse(stdout);
  expect(token).toMatch(/^dirmfa_[\w-]{43}$/);
  expect(tokenSha256).toMatch(/^[0-9a-f]{64}$/);
});

test("config schema prints a JSON Schema", async () => {
  const schema = JSON.parse((await runCommand("config", "schema")).stdout);
  expect(schema.properties).toHaveProperty("directories");
});

test.each([
  [["frobnicate"], "unknown command"],
  [["user", "show"], "missing required argument"],
  [["sync", "--directory", "nowhere"], "There is no directory nowhere"],
  [["run", "list", "--limit", "many"], "--limit wants a whole number"],
  [["run", "list", "--status", "gone"], "Allowed choices are running, succeeded"],
  [["user", "list", "--state", "gone"], "Allowed choices are active, disabled, removed"],
  [["audit", "list", "--action", "foo"], "Allowed choices are enrollment-begin"],
])("wrong usage %j exits with 2 and says what is wrong", async (args, words) => {
  const { code, stderr } = await dirmfa(...args);
  expect(stderr).toContain(words);
  expect(code).toBe(2);
});

test.each([
  [["user", "show", "nobody"], "There is no user nobody"],
  [["run", "show", "1"], "There is no run 1"],
])("what is not there, %j, exits with 1", async (args, words) => {
  const { code, stderr } = await dirmfa(...args);
  expect(stderr).toContain(words);
  expect(code).toBe(1);
});

test("without --config the usual places are tried, the last of them /etc/dirmfa", async () => {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough(), env: {} };
  const configPaths = ["/nowhere/dirmfa.yaml", installation.configPath];
  expect(await runCommandLine(["run", "list"], { ...streams, configPaths })).toBe(0);
  expect(
    await runCommandLine(["run", "list"], { ...streams, configPaths: ["a.yaml", "/etc/dirmfa-x/b.yaml"] }),
  ).toBe(2);
  expect(streams.stderr.read().toString()).toMatch(
    /^dirmfa: \/etc\/dirmfa-x\/b\.yaml: cannot be read: there is no such file/,
  );
});

test("where nothing is said and nothing is there, the place of an installation is named", async () => {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough(), env: {} };
  expect(await runCommandLine(["health"], streams)).toBe(2);
  expect(streams.stderr.read().toString()).toMatch(/^dirmfa: \/etc\/dirmfa\/dirmfa\.yaml: cannot be read: /);
});

test.each([
  ["not at all", {}, false],
  ["when it is asked for", { DIRMFA_STACK: "1" }, true],
])("the stack of what nobody foresaw is shown to an admin %s", (_, env, isShown) => {
  const stderr = new PassThrough();
  expect(reportFailure(new TypeError("x is not a function"), { stderr, env })).toBe(1);
  const text = stderr.read().toString();
  expect(text).toMatch(/^dirmfa: something unexpected happened: x is not a function\n/);
  expect(/\n +at /.test(text)).toBe(isShown);
});

test("a command whose run meets what nobody foresaw logs it without a stack", async () => {
  const { db } = world.database;
  await db.raw("alter table user_absences rename to hidden_absences");
  const { code, stdout, stderr } = await dirmfa("sync");
  await db.raw("alter table hidden_absences rename to user_absences");
  expect(code).toBe(1);
  expect(stderr).toContain("sync run failed");
  expect(stdout + stderr).not.toMatch(/ at .*\.ts:|"stack"/);
});

test("a key folder that is read-only is told as that", () => {
  const stderr = new PassThrough();
  const error = { code: "EROFS", syscall: "mkdir", path: "/etc/dirmfa/keys" };
  const failed = Object.assign(new Error("EROFS: read-only file system, mkdir '/etc/dirmfa/keys'"), error);
  expect(reportFailure(failed, { stderr, env: {} })).toBe(1);
  expect(stderr.read().toString()).toMatch(
    /^dirmfa: \/etc\/dirmfa\/keys cannot be used: it is on a file system that is read-only\.\n/,
  );
});

test("sync --user reads one user, removes nobody, and says what came of it (rule 26)", async () => {
  await world.slapd.modify(person("hired").replace("objectClass", "changetype: add\nobjectClass"));
  const { stdout, code } = await dirmfa("sync", "--user", "hired");
  expect(stdout).toMatch(/^example: changed \(run [0-9a-f-]{36}\)\n$/);
  expect(code).toBe(0);
  expect(await dirmfa("sync", "--user", "hired")).toMatchObject({
    stdout: "example: nothing has changed\n",
    code: 0,
  });
  expect(await dirmfa("sync", "--user", "nobody")).toMatchObject({
    stdout: "example: shows no such user; nobody is removed before a run\n",
    code: 1,
  });
  expect((await dirmfa("sync", "--user", "hired", "--dry-run")).code).toBe(2);
  expect((await dirmfa("user", "show", "hired")).stdout).toContain("required-new-user");
  await world.slapd.modify(deletions(["hired"]));
  await dirmfa("sync");
});

test("a missing configuration exits with 2 and names the option", async () => {
  const { code, stderr } = await runCommand("--config", "/nowhere/dirmfa.yaml", "sync");
  expect(stderr).toContain("--config");
  expect(code).toBe(2);
});

test("stored text cannot steer the terminal", async () => {
  await world.slapd.modify(
    "dn: uid=user0001,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: cn\ncn:: G1szMW1yZWQ=\n\n",
  );
  await dirmfa("sync");
  const { stdout } = await dirmfa("user", "show", "user0001");
  expect(stdout).not.toContain("\u001b");
});
