// The login scope over real HTTP: each call's answer to the letter of SPEC section 4, each problem code reached.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, DirmfaClientError } from "../../src/client/client.ts";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { call, tokens } from "../support/http-server.ts";
import { secretOf } from "../verification/verification-world.ts";

let world: ApiWorld;
beforeAll(async () => {
  world = await openApiWorld();
});
afterAll(() => world.close());

const uuid = /^[0-9a-f-]{36}$/;
const codeCount = () => world.deps.mfa.backupCodes.count;
const codeNow = (secret: Buffer) => world.codeOf({ secret });

test("a user without MFA is allowed, with everything that the answer has", async () => {
  const user = await world.addUser();
  const answer = await world.login("/v1/sign-in", { username: ` ${user.username.toUpperCase()} ` });
  expect(answer.status).toBe(200);
  expect(answer.json).toEqual({
    decision: "allow",
    reasons: ["not-required"],
    user: {
      id: user.id,
      username: user.username,
      displayName: null,
      email: null,
      directory: "main",
      groups: [],
    },
    methods: [],
    backupCodesRemaining: 0,
    lockedUntil: null,
    enrollment: null,
  });
});

test.each([
  ["nobody knows", { username: "nobody" }, "user-unknown"],
  ["is in another directory", { username: "nobody", directory: "elsewhere" }, "user-unknown"],
])("a user whom %s is denied, with status 200", async (_, body, reason) => {
  const answer = await world.login("/v1/sign-in", body);
  expect(answer.status).toBe(200);
  expect(answer.json).toMatchObject({ decision: "deny", reasons: [reason], user: null, methods: [] });
});

test.each(["disabled", "removed"] as const)("a %s user is denied, and may do nothing", async (state) => {
  const user = await world.addUser({ state });
  const name = { username: user.username };
  const signIn = await world.login("/v1/sign-in", name);
  expect(signIn.json).toMatchObject({ decision: "deny", reasons: [`user-${state}`] });
  for (const path of [
    "/v1/verify",
    "/v1/enrollment/confirm",
    "/v1/enrollment/disable",
    "/v1/backup-codes/regenerate",
  ]) {
    const answer = await world.login(path, { ...name, totp: "123456" });
    expect(answer.status).toBe(403);
    expect(answer.json).toMatchObject({ code: "user-not-active", state });
  }
  expect((await world.login("/v1/status", name)).json).toMatchObject({ code: "user-not-active" });
  expect((await world.login("/v1/enrollment", name)).json).toMatchObject({ code: "user-not-active" });
});

test("a user enrolls, signs in, regenerates and disables", async () => {
  const { id, username } = await world.addUser();
  const begun = await world.login("/v1/enrollment", { username });
  expect(begun.status).toBe(201);
  const enrollment = begun.json as Record<string, string>; // checked by the next line
  expect(enrollment).toEqual({
    secret: expect.stringMatching(/^[A-Z2-7]{32}$/),
    uri: expect.stringMatching(/^otpauth:\/\/totp\//),
    qrSvg: expect.stringMatching(/^<(\?xml|svg)/),
    qrPng: expect.stringMatching(/^data:image\/png;base64,/),
    expiresAt: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T.*Z$/),
  });
  const secret = secretOf(enrollment.secret ?? "");

  const confirmed = await world.login("/v1/enrollment/confirm", { username, totp: codeNow(secret) });
  expect(confirmed.status).toBe(200);
  const { backupCodes } = confirmed.json as { backupCodes: string[] };
  expect(backupCodes).toHaveLength(codeCount());

  const challenge = await world.login("/v1/sign-in", { username });
  expect(challenge.json).toMatchObject({
    decision: "challenge",
    reasons: ["enrolled"],
    methods: ["totp", "backup-code"],
    backupCodesRemaining: codeCount(),
  });

  world.clock.step();
  const verified = await world.login("/v1/verify", { username, totp: codeNow(secret) });
  expect(verified.status).toBe(200);
  expect(verified.json).toEqual({
    verified: true,
    method: "totp",
    user: { id, username, displayName: null, email: null, directory: "main", groups: [] },
    backupCodesRemaining: codeCount(),
  });
  const again = await world.login("/v1/verify", { username, totp: codeNow(secret) });
  expect(again.status).toBe(403);
  expect(again.json).toMatchObject({ code: "code-rejected" });

  const byBackupCode = await world.login("/v1/verify", { username, backupCode: backupCodes[1] });
  expect(byBackupCode.json).toMatchObject({
    verified: true,
    method: "backup-code",
    backupCodesRemaining: codeCount() - 1,
  });
  expect((await world.login("/v1/verify", { username, backupCode: backupCodes[1] })).status).toBe(403);

  world.clock.step();
  const fresh = await world.login("/v1/backup-codes/regenerate", { username, totp: codeNow(secret) });
  expect(fresh.status).toBe(200);
  expect((await world.login("/v1/verify", { username, backupCode: backupCodes[2] })).status).toBe(403);

  const status = await world.login("/v1/status", { username });
  expect(status.json).toEqual({
    user: expect.objectContaining({ id: expect.stringMatching(uuid) }),
    enrolled: true,
    enrolledAt: expect.any(String),
    required: false,
    requiredBy: [],
    backupCodesRemaining: codeCount(),
    mayDisable: true,
    passRequired: false,
  });

  world.clock.step();
  const disabled = await world.login("/v1/enrollment/disable", { username, totp: codeNow(secret) });
  expect(disabled.status).toBe(204);
  expect(disabled.text).toBe("");
  expect((await world.login("/v1/sign-in", { username })).json).toMatchObject({ decision: "allow" });
});

test("an active authenticator is replaced only with its own code", async () => {
  const { username, secret } = await world.addEnrolledUser();
  const without = await world.login("/v1/enrollment", { username });
  expect(without.status).toBe(409);
  expect(without.json).toMatchObject({ code: "already-enrolled" });
  const wrong = await world.login("/v1/enrollment", {
    username,
    totp: world.wrongCodeOf({ secret }),
  });
  expect(wrong.json).toMatchObject({ code: "code-rejected" });
  const right = await world.login("/v1/enrollment", { username, totp: codeNow(secret) });
  expect(right.status).toBe(201);
});

test("a lost phone is replaced with a backup code through the API and its client, and one code alone is taken (F15)", async () => {
  const { id, username, secret, backupCodes } = await world.addEnrolledUser();
  const [backupCode = "", second = ""] = backupCodes;
  for (const more of [{ totp: codeNow(secret) }, { enrollmentPass: "0000-0000-0000-0000" }]) {
    const both = await world.login("/v1/enrollment", { username, backupCode, ...more });
    const detail = 'The body must have one at most of "totp" and "enrollmentPass" and "backupCode".';
    expect(both.json).toMatchObject({ status: 400, detail });
  }
  const { url } = await world.startServer(world.deps);
  const client = createClient({ baseUrl: url, token: tokens.login });
  const begun = await client.beginEnrollment({ username, backupCode });
  const confirmed = await client.confirmEnrollment({ username, totp: codeNow(secretOf(begun.secret)) });
  expect(confirmed.backupCodes).toHaveLength(4);
  const old = await world.login("/v1/verify", { username, backupCode: second });
  expect(old.json).toMatchObject({ code: "code-rejected" });
  expect(world.logged.join()).not.toContain(backupCode);
  const { id: seen } = (await client.status({ username })).user;
  expect(seen).toBe(id);
});

test("a user whom nobody knows is user-unknown in every call but the decision", async () => {
  const totp = "123456";
  for (const [path, more] of [
    ["/v1/verify", { totp }],
    ["/v1/verify", { backupCode: "ABCD" }],
    ["/v1/status", {}],
    ["/v1/enrollment", {}],
    ["/v1/enrollment/confirm", { totp }],
    ["/v1/enrollment/disable", { totp }],
    ["/v1/backup-codes/regenerate", { totp }],
  ] as const) {
    const answer = await world.login(path, { username: "nobody", ...more });
    expect([path, answer.status, answer.json]).toMatchObject([path, 404, { code: "user-unknown" }]);
  }
});

test("calls that need an authenticator say not-enrolled without one", async () => {
  const { username } = await world.addUser();
  for (const path of [
    "/v1/verify",
    "/v1/enrollment/confirm",
    "/v1/enrollment/disable",
    "/v1/backup-codes/regenerate",
  ]) {
    const answer = await world.login(path, { username, totp: "123456" });
    expect(answer.status).toBe(409);
    expect(answer.json).toMatchObject({ code: "not-enrolled" });
  }
  expect((await world.login("/v1/enrollment", { username, totp: "123456" })).json).toMatchObject({
    code: "not-enrolled",
  });
});

test("an enrollment that took too long is enrollment-expired", async () => {
  const { id, username } = await world.addUser();
  const begun = await world.login("/v1/enrollment", { username });
  const { secret } = begun.json as { secret: string };
  await world.database
    .db("authenticators")
    .where({ user_id: id })
    .update({ expires_at: new Date(0) });
  const answer = await world.login("/v1/enrollment/confirm", { username, totp: codeNow(secretOf(secret)) });
  expect(answer.status).toBe(409);
  expect(answer.json).toMatchObject({ code: "enrollment-expired" });
});

test("wrong codes lock the user out, with the time to come back", async () => {
  const { username, secret } = await world.addEnrolledUser();
  const totp = world.wrongCodeOf({ secret });
  const statuses = [];
  for (let i = 0; i < 5; i++) statuses.push((await world.login("/v1/verify", { username, totp })).status);
  expect(statuses.slice(0, 4)).toEqual([403, 403, 403, 403]);
  const locked = await world.login("/v1/verify", { username, totp: codeNow(secret) });
  expect(locked.status).toBe(429);
  expect(locked.json).toMatchObject({ code: "locked-out", lockedUntil: expect.stringMatching(/Z$/) });
  expect(Number(locked.headers.get("retry-after"))).toBeGreaterThan(0);
  const signIn = await world.login("/v1/sign-in", { username });
  expect(signIn.json).toMatchObject({ methods: ["backup-code"], lockedUntil: expect.any(String) });
});

test("a name in two directories is ambiguous until the directory is named", async () => {
  const one = await world.addUser({ username: "twice", directory: "main" });
  const two = await world.addUser({ username: "twice", directory: "other" });
  for (const [path, more] of [
    ["/v1/sign-in", {}],
    ["/v1/status", {}],
    ["/v1/enrollment", {}],
    ["/v1/verify", { totp: "123456" }],
    ["/v1/verify", { backupCode: "123456" }],
    ["/v1/enrollment/confirm", { totp: "123456" }],
    ["/v1/enrollment/disable", { totp: "123456" }],
    ["/v1/backup-codes/regenerate", { totp: "123456" }],
  ] as const) {
    const answer = await world.login(path, { username: "Twice", ...more });
    expect(answer.status).toBe(409);
    expect(answer.json).toMatchObject({ code: "username-ambiguous", directories: ["main", "other"] });
    const named = await world.login(path, { username: "Twice", directory: "other", ...more });
    expect(named.json).not.toMatchObject({ code: "username-ambiguous" });
  }
  const signIn = await world.login("/v1/sign-in", { username: "twice", directory: "other" });
  expect(signIn.json).toMatchObject({ user: { id: two.id } });
  expect(signIn.json).not.toMatchObject({ user: { id: one.id } });
});

test("a required user must enroll, may defer within the grace period, and cannot disable", async () => {
  const { server, url } = await world.startServer(await world.replica({ mode: "required" }));
  const post = (path: string, body: unknown) => call(`${url}${path}`, { token: tokens.login, body });
  const unenrolled = await world.addUser();
  const signIn = await post("/v1/sign-in", { username: unenrolled.username });
  expect(signIn.json).toMatchObject({
    decision: "enroll",
    reasons: ["required-by-organization"],
    enrollment: { deadline: null, mayDefer: false, passRequired: false },
  });
  await world.database
    .db("users")
    .where({ id: unenrolled.id })
    .update({ required_since: new Date(), enrollment_deadline: new Date("2100-01-01T00:00:00Z") });
  expect((await post("/v1/sign-in", { username: unenrolled.username })).json).toMatchObject({
    decision: "enroll",
    enrollment: { deadline: "2100-01-01T00:00:00.000Z", mayDefer: true, passRequired: false },
  });

  const { username, secret } = await world.addEnrolledUser();
  const refused = await post("/v1/enrollment/disable", { username, totp: codeNow(secret) });
  expect(refused.status).toBe(409);
  expect(refused.json).toMatchObject({ code: "mfa-required", requiredBy: ["required-by-organization"] });
  expect((await post("/v1/status", { username })).json).toMatchObject({ required: true, mayDisable: false });
  await server.close();
  await world.replica();
});

test.each([
  ["neither code", {}],
  ["both codes", { totp: "123456", backupCode: "abcd" }],
  ["an empty code", { totp: "" }],
  ["a number for a code", { totp: 123456 }],
  ["a code that is too long", { totp: "1".repeat(65) }],
  ["null for a code", { totp: null }],
])("verify with %s is an invalid request", async (_, code) => {
  const { username } = await world.addEnrolledUser();
  const answer = await world.login("/v1/verify", { username, ...code });
  expect(answer.status).toBe(400);
  expect(answer.json).toMatchObject({ code: "invalid-request" });
});

test.each(["12345", "1234567", "12345a", "１２３４５６７", "0x1234", "1e5", "-12345", "'; drop table users"])(
  "the code %j is looked at and rejected",
  async (totp) => {
    const { username } = await world.addEnrolledUser();
    expect((await world.login("/v1/verify", { username, totp })).json).toMatchObject({
      code: "code-rejected",
    });
  },
);

test("a stored secret that cannot be opened is internal, and says nothing", async () => {
  const { id, username, secret } = await world.addEnrolledUser();
  await world.database
    .db("authenticators")
    .where({ user_id: id })
    .update({ sealed: Buffer.alloc(64) });
  const answer = await world.login("/v1/verify", { username, totp: codeNow(secret) });
  expect(answer.status).toBe(500);
  expect(answer.json).toEqual(expect.objectContaining({ code: "internal" }));
  expect(answer.text).not.toMatch(/seal|secret|key/);
});

test("the caller, not X-Actor, is who acts in the login scope", async () => {
  const { id, username, secret } = await world.addEnrolledUser();
  await call(`${world.url}/v1/verify`, {
    token: tokens.login,
    body: { username, totp: codeNow(secret) },
    headers: { "x-actor": "mallory" },
  });
  const last = await world.database
    .db("audit_events")
    .where({ user_id: id })
    .orderBy("id", "desc")
    .first("actor");
  expect(last).toEqual({ actor: "caller:login-service" });
});

test("the client walks the same way, and its errors carry the code", async () => {
  const client = createClient({ baseUrl: world.url, token: tokens.login });
  const { username } = await world.addUser();
  expect((await client.signIn({ username })).decision).toBe("allow");
  const begun = await client.beginEnrollment({ username });
  const secret = secretOf(begun.secret);
  const { backupCodes } = await client.confirmEnrollment({ username, totp: codeNow(secret) });
  expect(backupCodes).toHaveLength(codeCount());
  const wrong = client.verify({ username, totp: world.wrongCodeOf({ secret }) });
  await expect(wrong).rejects.toMatchObject({
    name: "DirmfaClientError",
    code: "code-rejected",
    status: 403,
  });
  expect((await client.verify({ username, backupCode: backupCodes[0] ?? "" })).verified).toBe(true);
  expect((await client.status({ username })).backupCodesRemaining).toBe(codeCount() - 1);
  world.clock.step();
  expect((await client.regenerateBackupCodes({ username, totp: codeNow(secret) })).backupCodes).toHaveLength(
    codeCount(),
  );
  world.clock.step();
  await expect(client.disableMfa({ username, totp: codeNow(secret) })).resolves.toBeUndefined();
  const stranger = createClient({ baseUrl: world.url, token: "unknown" });
  await expect(stranger.signIn({ username })).rejects.toThrow(DirmfaClientError);
});

test("the client speaks to a Unix socket as well", async () => {
  const folder = await mkdtemp(join(tmpdir(), "dirmfa-client-"));
  const path = join(folder, "dirmfa.sock");
  const { server, url } = await world.startServer(world.deps, { listen: { kind: "unix", path } });
  const client = createClient({ baseUrl: url, token: tokens.login });
  const { username } = await world.addUser();
  expect((await client.signIn({ username })).decision).toBe("allow");
  await expect(client.verify({ username, totp: "123456" })).rejects.toMatchObject({ code: "not-enrolled" });
  await server.close();
  await rm(folder, { recursive: true });
});

test("decisions and verifications are counted", async () => {
  const { username, secret, backupCodes } = await world.addEnrolledUser();
  await world.login("/v1/sign-in", { username });
  for (const code of [{ totp: codeNow(secret) }, { totp: codeNow(secret) }, { backupCode: backupCodes[0] }])
    await world.login("/v1/verify", { username, ...code });
  const { text } = await call(`${world.url}/metrics`, { token: tokens.metrics });
  expect(text).toMatch(/dirmfa_sign_in_decisions_total\{decision="challenge"\} \d/);
  expect(text).toMatch(/dirmfa_verifications_total\{method="totp",outcome="accepted"\} \d/);
  expect(text).toMatch(/dirmfa_verifications_total\{method="totp",outcome="rejected"\} \d/);
  expect(text).toMatch(/dirmfa_verifications_total\{method="backup-code",outcome="accepted"\} \d/);
  expect(text).toMatch(/route="\/v1\/verify",status="403"/);
});
