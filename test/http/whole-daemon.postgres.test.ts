// The daemon put together from a configuration file, on a real directory and PostgreSQL, logging as much as it can: the
// directory goes away and all of it still works (F12), and of everything that happens here, no secret, code, token or
// password is in the log, in an error or in the audit (rule 22).

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type Slapd, startSlapd } from "../../scripts/servers/slapd.ts";
import { loadConfig } from "../../src/config/load-config.ts";
import { startDaemon } from "../../src/daemon.ts";
import { SyncRunDetail } from "../../src/http/routes/admin-sync-schemas.ts";
import { UserPage } from "../../src/http/routes/admin-user-schemas.ts";
import { BackupCodesAnswer, EnrollmentAnswer } from "../../src/http/routes/login-schemas.ts";
import { runCommand } from "../support/command.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";
import { type Answer, call, callerOf, readAs, tokens } from "../support/http-server.ts";
import { createInstallation, type Installation } from "../support/installation.ts";
import { createKeptLog } from "../support/kept-logs.ts";
import { people, person } from "../support/sync-world.ts";
import { secretOf, stepMs, totpOf, wrongTotpOf } from "../verification/verification-world.ts";

let slapd: Slapd;
let database: TestDatabase;
let installation: Installation;
let daemon: Awaited<ReturnType<typeof startDaemon>>;
let url: string;
let stop: () => Promise<void>;
let firstRun: Awaited<ReturnType<typeof syncRun>>;
const { log, lines } = createKeptLog();
beforeAll(async () => {
  await using started = new AsyncDisposableStack();
  slapd = started.adopt(await startSlapd({ ldif: people(10) }), (it) => it.stop());
  database = started.adopt(await openTestDatabase(), (it) => it.close());
  const callers = [
    callerOf("login-service", tokens.login, ["login"]),
    callerOf("help-desk", tokens.admin, ["admin"]),
    callerOf("prometheus", tokens.metrics, ["metrics"]),
  ];
  const options = {
    slapd,
    database: database.config,
    directory: { onDemand: { timeout: "10s" } },
    config: { http: { listen: "127.0.0.1:0", callers }, mfa: { backupCodes: { count: 5 } } },
  };
  installation = started.adopt(await createInstallation(options), (it) => it.remove());
  expect((await dirmfa("key", "generate")).code).toBe(0);
  await serve();
  started.defer(() => daemon.stop());
  const running = started.move();
  stop = () => running.disposeAsync();
  firstRun = await syncRun();
});
afterEach(expectNoSecret);
afterAll(() => stop());

async function serve(): Promise<void> {
  daemon = await startDaemon(await loadConfig(installation.configPath, {}), log);
  url = daemon.address;
}

/** All that a command said, to anyone. */
const said: string[] = [];
async function dirmfa(...args: string[]) {
  const ran = await runCommand("--config", installation.configPath, ...args);
  said.push(ran.stdout, ran.stderr);
  return ran;
}

/** Bodies of all answers that were refusals. */
const errors: string[] = [];
/** What must be found nowhere: all that was typed as a code, and all secrets that were shown or are in files. */
const used = new Set<string>([...Object.values(tokens), "wrong-token-0123456789"]);

async function ask(path: string, request: Parameters<typeof call>[1]): Promise<Answer> {
  const answer = await call(`${url}${path}`, request);
  if (answer.status >= 400) errors.push(answer.text);
  return answer;
}

async function login(path: string, body: Record<string, string>): Promise<Answer> {
  for (const name of ["totp", "backupCode"]) if (body[name] !== undefined) used.add(body[name]);
  return ask(path, { token: tokens.login, body });
}

const admin = (path: string, request: { method?: string; body?: object } = {}) =>
  ask(path, { token: tokens.admin, ...request });

async function syncRun() {
  const asked = await admin("/v1/admin/sync-runs", { body: { directory: "example" } });
  const { id } = asked.json as { id: string };
  for (let left = 200; left > 0; left--) {
    const run = readAs(SyncRunDetail, await admin(`/v1/admin/sync-runs/${id}`));
    if (run.status !== "running") return run;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the run does not end");
}

async function idOf(username: string): Promise<string> {
  const { users } = readAs(UserPage, await admin(`/v1/admin/users?search=${username}`));
  return users[0]?.id ?? "nobody";
}

/** The present code of a secret as shown, or that of the next step, which is good as well. */
function codeOf(secret: string, steps: 0 | 1): string {
  return totpOf(secretOf(secret), new Date(Date.now() + steps * stepMs));
}

function noteSecret(secret: string, uri: string): void {
  const bytes = secretOf(secret);
  for (const form of [secret, bytes.toString("hex"), bytes.toString("base64"), uri]) used.add(form);
}

function noteBackupCodes(answer: Answer): string[] {
  const { backupCodes } = readAs(BackupCodesAnswer, answer);
  for (const code of backupCodes) used.add(code).add(code.replaceAll("-", ""));
  return backupCodes;
}

/** Enrolls with the present code, so that the next one is new. */
async function enroll(username: string, code: Record<string, string> = {}) {
  const { secret, uri } = readAs(EnrollmentAnswer, await login("/v1/enrollment", { username, ...code }));
  noteSecret(secret, uri);
  const confirmed = await login("/v1/enrollment/confirm", { username, totp: codeOf(secret, 0) });
  return { secret, backupCodes: noteBackupCodes(confirmed) };
}

/** Rule 22, of everything that has happened up to here. */
async function expectNoSecret(): Promise<void> {
  used.add(slapd.syncPassword);
  if (database.config.kind === "postgres") used.add(new URL(database.config.url).password);
  const keys = join(installation.folder, "keys");
  for (const name of await readdir(keys)) used.add((await readFile(join(keys, name), "utf8")).trim());
  const texts = {
    log: lines.join(""),
    errors: errors.join("\n"),
    commands: said.join("\n"),
    audit: JSON.stringify(await database.db("audit_events")),
    runs: JSON.stringify(await database.db("sync_runs")),
    metrics: (await call(`${url}/metrics`, { token: tokens.metrics })).text,
  };
  for (const [where, text] of Object.entries(texts)) {
    // Codes as words of their own, and not as the microseconds of a time.
    const words = new Set(text.replaceAll(/:\d\d\.\d+/g, "").split(/[^0-9A-Za-z]+/));
    const found = [...used].filter((value) => (/\W/.test(value) ? text.includes(value) : words.has(value)));
    expect([where, found]).toEqual([where, []]);
  }
}

const decisionFor = async (username: string) => (await login("/v1/sign-in", { username })).json;

test("the directory's users are read", () => {
  expect(firstRun).toMatchObject({ status: "succeeded", counts: { added: 10 } });
});

test("who was hired a moment ago signs in, and a webhook reads one user in the name of the person who acts (rule 26)", async () => {
  const changedReads = async () => {
    const { text } = await call(`${url}/metrics`, { token: tokens.metrics });
    return Number(
      /dirmfa_user_reads_total\{directory="example",outcome="changed"\} (\d+)/.exec(text)?.[1] ?? 0,
    );
  };
  const before = await changedReads();
  await slapd.modify(person("hired").replace("objectClass", "changetype: add\nobjectClass"));
  expect(await decisionFor("hired")).toMatchObject({ decision: "allow", user: { username: "hired" } });
  await slapd.modify(
    "dn: uid=hired,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: mail\nmail: new@example.org\n\n",
  );
  const refresh = (body: object) => admin("/v1/admin/users/refresh", { body });
  expect((await refresh({ username: "hired" })).json).toEqual({
    directories: [{ directory: "example", outcome: "changed", runId: expect.any(String), reasons: [] }],
    user: expect.objectContaining({ username: "hired", email: "new@example.org", state: "active" }),
  });
  expect((await refresh({ id: await idOf("hired") })).json).toMatchObject({
    directories: [{ outcome: "unchanged", runId: null }],
    user: { username: "hired" },
  });
  expect((await refresh({ username: "nobody" })).json).toMatchObject({
    directories: [{ outcome: "not-found" }],
    user: null,
  });
  expect((await refresh({ username: "hired", directory: "elsewhere" })).status).toBe(404);
  expect((await refresh({ id: "00000000-0000-4000-8000-000000000000" })).status).toBe(404);
  expect((await refresh({})).status).toBe(400);
  expect(await changedReads()).toBe(before + 2);
});

test("with the directory down all but its runs still works", async () => {
  await slapd.kill();
  expect(await syncRun()).toMatchObject({ status: "failed", error: { code: "directory-unreachable" } });
  expect((await ask("/readyz", {})).json).toMatchObject({
    status: "ready",
    lastCompleteAt: expect.any(String),
  });
  expect((await admin("/v1/admin/users/refresh", { body: { username: "user0000" } })).status).toBe(503);
  expect(await decisionFor("nobody")).toMatchObject({ decision: "deny", reasons: ["user-unknown"] });

  expect(await decisionFor("user0000")).toMatchObject({ decision: "allow" });
  const first = await enroll("user0000");
  expect(await decisionFor("user0000")).toMatchObject({ decision: "challenge" });
  const signIns = [{ totp: codeOf(first.secret, 1) }, { backupCode: first.backupCodes[2] ?? "" }];
  for (const code of signIns)
    expect((await login("/v1/verify", { username: "user0000", ...code })).status).toBe(200);

  const second = await enroll("user0001");
  const regenerated = { username: "user0001", totp: codeOf(second.secret, 1) };
  const [fresh = ""] = noteBackupCodes(await login("/v1/backup-codes/regenerate", regenerated));
  expect((await login("/v1/verify", { username: "user0001", backupCode: fresh })).status).toBe(200);

  const third = await enroll("user0002");
  await enroll("user0002", { totp: codeOf(third.secret, 1) });

  const fourth = await enroll("user0003");
  const disabled = { username: "user0003", totp: codeOf(fourth.secret, 1) };
  expect((await login("/v1/enrollment/disable", disabled)).status).toBe(204);

  const fifth = await idOf("user0004");
  await enroll("user0004");
  await admin(`/v1/admin/users/${fifth}/mfa-required`, { method: "PUT", body: { required: true } });
  await admin(`/v1/admin/users/${fifth}/disable-mfa`, { method: "POST" });
  expect(await decisionFor("user0004")).toMatchObject({ decision: "enroll", reasons: ["required-by-admin"] });
  await slapd.restart();
  // This one lets the directory rest for ten seconds.
  await daemon.stop();
  await serve();
});

test("every set of backup codes is hashed at the full price (rule 21)", async () => {
  await enroll("user0007");
  const kdfs = await database.db("backup_code_sets").distinct("kdf");
  expect(kdfs).toEqual([{ kdf: "scrypt:16384:8:1" }]);
});

test("what goes wrong is refused, and no secret, code, token or password is in what is told of it (rule 22)", async () => {
  const username = "user0005";
  const { secret, backupCodes } = await enroll(username);
  const wrong = wrongTotpOf(secretOf(secret), new Date());
  for (let failure = 0; failure < 6; failure++) await login("/v1/verify", { username, totp: wrong });
  await admin(`/v1/admin/users/${await idOf(username)}/unlock`, { method: "POST" });
  const misplaced = [
    ["/v1/verify", { username, totp: "482915", backupCode: backupCodes[0] ?? "" }],
    ["/v1/verify", { username, totp: `739164${"0".repeat(100)}` }],
    ["/v1/verify", { username, backupCode: "WXYZ-WXYZ-WXYZ" }],
    ["/v1/verify", { username: "615283", totp: "615283" }],
    ["/v1/enrollment/confirm", { username, totp: "604817" }],
    [`/v1/verify?token=${tokens.login}&totp=517293`, { username, totp: "517293" }],
    ["/v1/verify", { username, totp: "371846", [tokens.login]: "371846" }],
  ] as const;
  for (const [path, body] of misplaced) await login(path, body);
  used.add("739164");
  await ask(`/v1/${tokens.admin}`, { token: "wrong-token-0123456789" });
  await ask("/v1/verify", { token: "wrong-token-0123456789", body: { username, totp: "482915" } });
  await ask("/v1/verify", { token: tokens.login, rawBody: `{"username":"ada","totp":"482915"` });
  await ask("/v1/verify", {
    token: tokens.login,
    rawBody: "totp=482915",
    headers: { "content-type": "text/plain" },
  });
  await ask("/v1/admin/users", { token: tokens.admin, headers: { "x-actor": `${tokens.admin}\u00ff` } });

  // A sealed value that does not open, a statement that fails, and a bind that is refused: each is an error in the log.
  const { db } = database;
  await db("authenticators")
    .where({ user_id: await idOf(username) })
    .update({ sealed: Buffer.alloc(64) });
  expect((await login("/v1/verify", { username, totp: codeOf(secret, 1) })).status).toBe(500);
  await db.raw("alter table authenticators rename to hidden_authenticators");
  expect((await login("/v1/verify", { username, totp: "918273" })).status).toBe(500);
  await db.raw("alter table hidden_authenticators rename to authenticators");
  const putPassword = (password: string) =>
    slapd.modify(
      `dn: ${slapd.syncDn}\nchangetype: modify\nreplace: userPassword\nuserPassword: ${password}\n\n`,
    );
  await putPassword("another-password");
  expect(await syncRun()).toMatchObject({ status: "failed", error: { code: "directory-bind-refused" } });
  expect((await dirmfa("check")).code).toBe(1);
  expect((await dirmfa("key", "generate")).code).toBe(0);
  // The daemon looks into its folder now and then; it is not waited for.
  expect((await dirmfa("key", "rotate", "--despite-replicas")).code).toBe(1);
  expect((await dirmfa("audit", "list", "--limit", "1000")).code).toBe(0);
  await putPassword(slapd.syncPassword);

  // The log is as verbose as it gets, and the errors are all there to be searched.
  for (const phrase of ["request", "request failed", "stored secret cannot be opened", "sync run failed"])
    expect(lines.join("")).toContain(`"msg":"${phrase}"`);
  expect(errors.length).toBeGreaterThan(15);
  expect(used.size).toBeGreaterThan(30);
});

test("every audit event names its request, command or daemon", async () => {
  await dirmfa("user", "require", "user0006");
  await slapd.modify(person("newcomer").replace("objectClass", "changetype: add\nobjectClass"));
  await decisionFor("newcomer");
  await call(`${url}/v1/enrollment`, {
    token: tokens.login,
    body: { username: "user0006" },
    headers: { "x-request-id": "begin-4711" },
  });
  const events = await database.db("audit_events").select("via", "action", "request_id");
  expect(events.filter(({ request_id }) => !/^[A-Za-z0-9._-]{8,64}$/.test(request_id ?? ""))).toEqual([]);
  expect(new Set(events.map(({ via }) => via))).toEqual(new Set(["api", "cli", "daemon", "sync"]));
  expect(events).toContainEqual({ via: "api", action: "enrollment-begin", request_id: "begin-4711" });
  const byApi = events.filter(({ via }) => via === "api").map(({ request_id }) => request_id);
  expect(
    lines.filter((line) => JSON.parse(line).msg === "request").map((line) => JSON.parse(line).requestId),
  ).toEqual(expect.arrayContaining([...new Set(byApi)]));
});
