// Rule 15 as the login service meets it: many requests at once against two daemons, each in its own process, on one
// PostgreSQL. Exactly one of equal requests wins, and no failed attempt goes uncounted.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startSlapd } from "../../scripts/servers/slapd.ts";
import { BackupCodesAnswer, EnrollmentAnswer } from "../../src/http/routes/login-schemas.ts";
import { runCommand } from "../support/command.ts";
import { openTestDatabase, type TestDatabase } from "../support/databases.ts";
import { type Answer, call, callerOf, readAs, tokens } from "../support/http-server.ts";
import { createInstallation } from "../support/installation.ts";
import { people } from "../support/sync-world.ts";
import { secretOf, stepMs, totpOf, wrongTotpOf } from "../verification/verification-world.ts";

// Other systems were seen to accept one code two to fifteen times under twenty equal requests; this is ten times as many.
const atOnce = 200;
// The most that the configuration allows: the longer the way to a lockout, the more counts can be lost on it.
const failures = 20;
// The fewest that the configuration allows: each costs a hash, and every user here enrolls.
const backupCodeCount = 5;

let database: TestDatabase;
let addresses: string[];
let stop: () => Promise<void>;
beforeAll(async () => {
  await using started = new AsyncDisposableStack();
  const slapd = started.adopt(await startSlapd({ ldif: people(20) }), (it) => it.stop());
  database = started.adopt(await openTestDatabase(), (it) => it.close());
  const options = {
    slapd,
    database: database.config,
    config: {
      http: { listen: "127.0.0.1:0", callers: [callerOf("login-service", tokens.login, ["login"])] },
      mfa: { lockout: { failures }, backupCodes: { count: backupCodeCount } },
    },
  };
  const installation = started.adopt(await createInstallation(options), (it) => it.remove());
  for (const command of [["key", "generate"], ["sync"]]) {
    expect(await runCommand("--config", installation.configPath, ...command)).toMatchObject({
      code: 0,
      stderr: "",
    });
  }
  // Replicas have one configuration and one folder of keys; port 0 gives each its own port.
  const daemons = await Promise.all([installation.serve(), installation.serve()]);
  addresses = daemons.map(({ address }) => address);
  const running = started.move();
  stop = () => running.disposeAsync();
});
afterAll(() => stop());

/** To one of the two daemons. */
const post = (path: string, body: object, daemon = 0): Promise<Answer> =>
  call(`${addresses[daemon]}${path}`, { token: tokens.login, body });

/** All at the same time, every other one to each daemon. */
const postAtOnce = (path: string, bodies: object[]): Promise<Answer[]> =>
  Promise.all(bodies.map((body, index) => post(path, body, index % 2)));

const times = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one);

/** How often each status came, with its problem code. */
function countOf(answers: Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, json } of answers) {
    const kind = `${status} ${status < 400 ? "" : (json as { code: string }).code}`.trim();
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** The backup codes that the one answer among these shows which is no refusal. */
function shownIn(answers: Answer[]): string[] {
  const [shown] = answers.filter(({ status }) => status === 200);
  if (!shown) throw new Error("all were refused");
  return readAs(BackupCodesAnswer, shown).backupCodes;
}

interface Enrolling {
  username: string;
  secret: Buffer;
}

let usersTaken = 0;
/** A user that no test had before, whose enrollment is begun. */
async function beginEnrollment(): Promise<Enrolling> {
  const username = `user${String(usersTaken++).padStart(4, "0")}`;
  const { secret } = readAs(EnrollmentAnswer, await post("/v1/enrollment", { username }));
  return { username, secret: secretOf(secret) };
}

/**
 * An enrolled user and a right code: that of the next step, since the present one is spent, and so one that stays right
 * for half a minute at least.
 */
async function enroll(): Promise<Enrolling & { totp: string; backupCodes: string[] }> {
  const { username, secret } = await beginEnrollment();
  const now = new Date();
  const confirmed = await post("/v1/enrollment/confirm", { username, totp: totpOf(secret, now) });
  const { backupCodes } = readAs(BackupCodesAnswer, confirmed);
  return { username, secret, totp: totpOf(secret, new Date(now.getTime() + stepMs)), backupCodes };
}

/** What the audit says of the codes that were typed for a sign-in, in order. */
async function auditedOutcomes(username: string): Promise<string[]> {
  return database
    .db("audit_events as e")
    .join("users as u", "u.id", "e.user_id")
    .where({ "u.username": username, action: "verification" })
    .whereRaw("e.details ->> 'purpose' = 'sign-in'")
    .orderBy("e.id")
    .pluck("outcome");
}

describe("of 200 equal requests at once to two daemons", () => {
  test("with one right TOTP code one is accepted, and all are audited", async () => {
    const { username, totp } = await enroll();
    const answers = await postAtOnce("/v1/verify", times(atOnce, { username, totp }));
    expect(countOf(answers)).toEqual({ "200": 1, "403 code-rejected": atOnce - 1 });
    expect(await auditedOutcomes(username)).toEqual(["accepted", ...times(atOnce - 1, "already-spent")]);
  });

  test("with one backup code one is accepted, and all are audited", async () => {
    const { username, backupCodes } = await enroll();
    const body = { username, backupCode: backupCodes[3] };
    const answers = await postAtOnce("/v1/verify", times(atOnce, body));
    expect(countOf(answers)).toEqual({ "200": 1, "403 code-rejected": atOnce - 1 });
    expect(await auditedOutcomes(username)).toEqual(["accepted", ...times(atOnce - 1, "already-spent")]);
  });

  test("that confirm an enrollment one is shown backup codes, which are the ones that work", async () => {
    const { username, secret } = await beginEnrollment();
    const body = { username, totp: totpOf(secret, new Date()) };
    const answers = await postAtOnce("/v1/enrollment/confirm", times(atOnce, body));
    const { "200": won, "429 rate-limited": busy = 0, ...lost } = countOf(answers);
    const { "403 code-rejected": late = 0, "409 already-enrolled": later = 0 } = lost;
    expect([won, late + later + busy]).toEqual([1, atOnce - 1]);
    const backupCodes = shownIn(answers);
    const signIn = await post("/v1/verify", { username, backupCode: backupCodes[0] });
    expect(signIn.json).toMatchObject({ verified: true, backupCodesRemaining: backupCodeCount - 1 });
  });

  test("that regenerate the backup codes one is shown new ones, which are the ones that work", async () => {
    const { username, totp, backupCodes: old } = await enroll();
    const answers = await postAtOnce("/v1/backup-codes/regenerate", times(atOnce, { username, totp }));
    const { "200": won, "429 rate-limited": busy = 0, "403 code-rejected": late = 0 } = countOf(answers);
    expect([won, late + busy]).toEqual([1, atOnce - 1]);
    const backupCodes = shownIn(answers);
    expect((await post("/v1/verify", { username, backupCode: old[0] })).status).toBe(403);
    expect((await post("/v1/verify", { username, backupCode: backupCodes[0] })).status).toBe(200);
  });
});

describe("of 200 wrong codes at once to two daemons", () => {
  const lockedOut = { "403 code-rejected": failures, "429 locked-out": atOnce - failures };

  test("as many TOTP codes as are configured are looked at, then the user is locked out of both", async () => {
    const { username, secret, totp } = await enroll();
    const wrong = { username, totp: wrongTotpOf(secret, new Date()) };
    expect(countOf(await postAtOnce("/v1/verify", times(atOnce, wrong)))).toEqual(lockedOut);
    const looked = (await auditedOutcomes(username)).slice(0, failures);
    expect(looked).toEqual(times(failures, "wrong-code"));
    expect(countOf(await postAtOnce("/v1/verify", times(2, { username, totp })))).toEqual({
      "429 locked-out": 2,
    });
  });

  test("no more backup codes than are configured are looked at, though each is another one", async () => {
    const { username } = await enroll();
    const wrong = Array.from({ length: atOnce }, (_, index) => ({
      username,
      backupCode: `WRNG-WRNG-${String(index).padStart(4, "0")}`,
    }));
    // Those that would stand in line too long are refused without having been looked at.
    const {
      "429 locked-out": unseen = 0,
      "429 rate-limited": busy = 0,
      "403 code-rejected": looked = 0,
      ...others
    } = countOf(await postAtOnce("/v1/verify", wrong));
    expect(others).toEqual({});
    expect(looked).toBeGreaterThan(0);
    expect(looked).toBeLessThanOrEqual(failures);
    expect(looked + unseen + busy).toBe(atOnce);
  });
});

test("of wrong codes at once, one fewer than lock out, none goes uncounted", async () => {
  const users: Awaited<ReturnType<typeof enroll>>[] = [];
  // One after the other: many at once are refused.
  for (let index = 0; index < 10; index++) users.push(await enroll());
  const wrong = users.flatMap(({ username, secret }) =>
    times(failures - 1, { username, totp: wrongTotpOf(secret, new Date()) }),
  );
  const answers = await postAtOnce("/v1/verify", wrong);
  expect(countOf(answers)).toEqual({ "403 code-rejected": wrong.length });
  const counted = await database
    .db("lockouts")
    .where({ method: "totp" })
    .where("failures", failures - 1);
  expect(counted).toHaveLength(users.length);
});
