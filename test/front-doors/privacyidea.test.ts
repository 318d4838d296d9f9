// The privacyIDEA protocol over real HTTP, as its clients speak it (rule 29): what each sends, what it reads, and what an
// attacker would send.

import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { CallerConfig } from "../../src/config/config.ts";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { call, callerOf } from "../support/http-server.ts";
import { secretOf } from "../verification/verification-world.ts";

const token = { web: "w".repeat(43), radius: "r".repeat(43), api: "a".repeat(43), other: "o".repeat(43) };
const door = (name: string, value: string, changes: Partial<CallerConfig> = {}): CallerConfig => ({
  ...callerOf(name, value, ["login"]),
  protocol: "privacyidea",
  ...changes,
});
const callers = [
  door("keycloak", token.web, { checksPassword: true, learnsUnknown: true }),
  door("radius", token.radius),
  door("other", token.other, { checksPassword: true }),
  callerOf("login-service", token.api, ["login"]),
];

let world: ApiWorld;
let url: string;
beforeAll(async () => {
  world = await openApiWorld();
  ({ url } = await world.startServer(world.deps, { callers }));
  await world.replica({ requireForDirectories: ["north"] });
});
afterEach(() => {
  const logged = world.logged.join("\n");
  for (const secret of Object.values(token)) expect(logged).not.toContain(secret);
  expect(logged).not.toMatch(/otpauth|data:image/);
});
afterAll(() => world.close());

interface Envelope {
  result: { status: boolean; value?: unknown; authentication?: string; error?: { code: number } };
  // biome-ignore lint/suspicious/noExplicitAny: read as the clients do, without asking what is there
  detail: any;
}

interface Sent {
  token?: string;
  at?: string;
  path?: string;
  encoded?: "twice" | "multipart" | "json";
  headers?: Record<string, string>;
}

async function send(fields: Record<string, string>, sent: Sent = {}) {
  const { at = url, path = "validate/check", encoded = "twice" } = sent;
  const twice = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) twice.append(name, encodeURIComponent(value));
  const multipart = new FormData();
  for (const [name, value] of Object.entries(fields)) multipart.append(name, value);
  const body = { twice, multipart, json: JSON.stringify(fields) }[encoded];
  const response = await fetch(`${at}/privacyidea/${sent.token ?? token.radius}/${path}`, {
    method: "POST",
    body,
    headers: {
      ...(encoded === "multipart" ? { "user-agent": "simplesamlphp/4" } : {}),
      ...(encoded === "json" ? { "content-type": "application/json" } : {}),
      ...sent.headers,
    },
  });
  return { status: response.status, envelope: (await response.json()) as Envelope };
}

const resultOf = async (fields: Record<string, string>, sent: Sent = {}) =>
  (await send(fields, sent)).envelope.result;
const challengeOf = async (fields: Record<string, string>, sent: Sent = {}) =>
  (await send(fields, sent)).envelope.detail;

const accept = { status: true, value: true, authentication: "ACCEPT" };
const reject = { status: true, value: false, authentication: "REJECT" };
const challenge = { status: true, value: false, authentication: "CHALLENGE" };

async function failuresOf(userId: string): Promise<number> {
  const rows = await world.database.db("lockouts").where({ user_id: userId }).select("failures");
  return rows.reduce((sum, { failures }) => sum + failures, 0);
}

test.each(["twice", "multipart", "json"] as const)(
  "with a body encoded as %s, an empty pass asks for a code, a right one is accepted and a spent one is not",
  async (encoded) => {
    const user = await world.addEnrolledUser(`jané+${encoded}%41@example.org`);
    const asked = await send({ user: user.username, pass: "" }, { encoded });
    expect(asked.status).toBe(200);
    expect(asked.envelope.result).toEqual(challenge);
    const { transaction_id, multi_challenge } = asked.envelope.detail;
    expect(transaction_id).toMatch(/^[\w-]{1,64}$/);
    expect(multi_challenge).toEqual([
      expect.objectContaining({
        transaction_id,
        client_mode: "interactive",
        type: "totp",
        serial: expect.any(String),
        message: expect.any(String),
      }),
    ]);
    const answer = { user: user.username, pass: world.codeOf(user), transaction_id };
    expect(await resultOf(answer, { encoded })).toEqual(accept);
    expect(await resultOf(answer, { encoded })).toEqual(reject);
  },
);

test("a code without a challenge, a state in place of a transaction, and a backup code are taken", async () => {
  const user = await world.addEnrolledUser();
  const asked = await challengeOf({ user: user.username, pass: "" });
  const code = { user: user.username, pass: world.codeOf(user), state: asked.transaction_id };
  expect(await resultOf(code)).toEqual(accept);
  world.clock.step();
  expect(await resultOf({ user: user.username, pass: world.codeOf(user) })).toEqual(accept);
  expect(await resultOf({ user: user.username, pass: user.backupCodes[0] ?? "" })).toEqual(accept);
});

test("a user of whom nothing is asked is accepted, one who is disabled is not, and an unknown one is told only to who may know", async () => {
  const user = await world.addUser();
  expect(await resultOf({ user: user.username, pass: "" })).toEqual(accept);
  const disabled = await world.addUser({ state: "disabled" });
  expect(await resultOf({ user: disabled.username, pass: "" })).toEqual(reject);
  expect(await resultOf({ user: "nobody", pass: "" })).toEqual(reject);
  expect(await resultOf({ user: "nobody", pass: "123456" })).toEqual(reject);
  for (const pass of ["", "123456"]) {
    const told = await send({ user: "nobody", pass }, { token: token.web });
    expect(told.status).toBe(400);
    expect(told.envelope.result).toMatchObject({ status: false, error: { code: 904 } });
  }
});

test("a wrong code counts as a failure, and a password in its place does not", async () => {
  const user = await world.addEnrolledUser();
  for (const pass of ["correct horse battery staple", "hunter2", "12345", "1234567", "１２３４５６", " "]) {
    expect(await resultOf({ user: user.username, pass })).toEqual(reject);
  }
  expect(await failuresOf(user.id)).toBe(0);
  expect(await resultOf({ user: user.username, pass: world.wrongCodeOf(user) })).toEqual(reject);
  expect(await failuresOf(user.id)).toBe(1);
});

test("after too many wrong codes the right one is rejected too, and so is the next sign-in", async () => {
  const user = await world.addEnrolledUser();
  for (let failure = 0; failure < 5; failure += 1)
    await send({ user: user.username, pass: world.wrongCodeOf(user) });
  expect(await resultOf({ user: user.username, pass: world.codeOf(user) })).toEqual(reject);
});

test("a caller that has checked the password enrolls a user by the QR code in the challenge", async () => {
  const user = await world.addUser({ directory: "north" });
  const web = { token: token.web };
  const asked = await send({ user: user.username, pass: "" }, web);
  expect(asked.envelope.result).toEqual(challenge);
  const { multi_challenge, transaction_id, ...detail } = asked.envelope.detail;
  expect(detail).toMatchObject({
    enroll_via_multichallenge: true,
    enroll_via_multichallenge_optional: false,
  });
  expect(multi_challenge[0].image).toMatch(/^data:image\/png;base64,/);
  const secret = secretOf(new URL(multi_challenge[0].link).searchParams.get("secret") ?? "");
  const typed = (pass: string) => send({ user: user.username, pass, transaction_id }, web);
  expect((await typed(world.wrongCodeOf({ secret }))).envelope.result).toEqual(reject);
  const code = world.codeOf({ secret });
  expect((await typed(code)).envelope.result).toEqual(accept);
  expect((await typed(code)).envelope.result).toEqual(reject);
  world.clock.step();
  expect(await resultOf({ user: user.username, pass: world.codeOf({ secret }) }, web)).toEqual(accept);
});

test("a caller that has not checked a password gets no enrollment, by no request", async () => {
  const user = await world.addUser({ directory: "north" });
  const radius = { token: token.radius };
  const asked = await send({ user: user.username, pass: "" }, radius);
  expect(asked.envelope.result).toEqual(reject);
  expect(JSON.stringify(asked.envelope)).not.toMatch(/otpauth|secret|image|link/);
  const { transaction_id, multi_challenge } = await challengeOf(
    { user: user.username, pass: "" },
    { token: token.web },
  );
  const secret = secretOf(new URL(multi_challenge[0].link).searchParams.get("secret") ?? "");
  for (const body of [
    { user: user.username, pass: world.codeOf({ secret }), transaction_id },
    { user: user.username, pass: world.codeOf({ secret }) },
    { user: user.username, transaction_id, cancel_enrollment: "true" },
  ]) {
    expect(await resultOf(body, radius)).toEqual(reject);
  }
  const trigger = await send({ user: user.username }, { ...radius, path: "validate/triggerchallenge" });
  expect(trigger.envelope.result).toEqual(reject);
});

test("within the grace period a user may enroll later, and not after it", async () => {
  const user = await world.addUser({ directory: "north" });
  const until = (enrollment_deadline: Date) =>
    world.database
      .db("users")
      .where({ id: user.id })
      .update({ required_since: new Date(), enrollment_deadline });
  await until(new Date(Date.now() + 3_600_000));
  const web = { token: token.web };
  const detail = await challengeOf({ user: user.username, pass: "" }, web);
  expect(detail.enroll_via_multichallenge_optional).toBe(true);
  const later = { user: user.username, transaction_id: detail.transaction_id, cancel_enrollment: "true" };
  expect(await resultOf(later, web)).toEqual(accept);
  // Who cannot show a QR code lets the user in until the deadline.
  expect(await resultOf({ user: user.username, pass: "" })).toEqual(accept);
  await until(new Date(Date.now() - 1_000));
  expect(await resultOf(later, web)).toEqual(reject);
  expect(await resultOf({ user: user.username, pass: "" })).toEqual(reject);
});

test("a transaction that is forged, late, of another user or of another caller is none", async () => {
  const user = await world.addEnrolledUser();
  const other = await world.addEnrolledUser();
  const { transaction_id } = await challengeOf({ user: user.username, pass: "" });
  const flipped = `${transaction_id.startsWith("A") ? "B" : "A"}${transaction_id.slice(1)}`;
  const type = (name: string, id: string, sent: Sent = {}) =>
    resultOf(
      { user: name, pass: world.codeOf(name === user.username ? user : other), transaction_id: id },
      sent,
    );
  for (const id of [flipped, randomBytes(36).toString("base64url"), "1", `${transaction_id}A`]) {
    expect(await type(user.username, id)).toEqual(reject);
  }
  expect(await type(other.username, transaction_id)).toEqual(reject);
  expect(await type(user.username, transaction_id, { token: token.other })).toEqual(reject);
  world.clock.step(20); // ten minutes
  expect(await type(user.username, transaction_id)).toEqual(reject);
  world.clock.step(-20);
  expect(await type(user.username, transaction_id)).toEqual(accept);
});

test("a parameter that is there twice, missing or a file is refused, in the envelope", async () => {
  const user = await world.addEnrolledUser();
  const post = (body: string | FormData | URLSearchParams, headers: Record<string, string> = {}) =>
    fetch(`${url}/privacyidea/${token.radius}/validate/check`, { method: "POST", body, headers });
  const twice = `user=${user.username}&pass=1&pass=${world.codeOf(user)}`;
  const file = new FormData();
  file.append("user", user.username);
  file.append("pass", new Blob([world.codeOf(user)]), "pass.txt");
  const json = { "content-type": "application/json" };
  for (const response of [
    await post(twice, { "content-type": "application/x-www-form-urlencoded" }),
    await post(new URLSearchParams({ user: user.username })),
    await post(new URLSearchParams({ pass: "" })),
    await post(file),
    await post(`{"user":"${user.username}","pass":"1","pass":"${world.codeOf(user)}"}`, json),
    await post(`{"user":{"$ne":""},"pass":"1"}`, json),
    await post("[]", json),
    await post("user", { "content-type": "multipart/form-data; boundary=x" }),
    await post("user", { "content-type": "text/plain" }),
  ]) {
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ result: { status: false, error: { code: 905 } } });
  }
});

test("a token is taken from the path, as Basic, as X-API-Key, as Bearer and from /auth", async () => {
  const user = await world.addUser();
  const given = await fetch(`${url}/privacyidea/auth`, {
    method: "POST",
    body: new URLSearchParams({ username: "keycloak", password: token.web }),
  });
  const { result } = (await given.json()) as { result: { value: { token: string; role: string } } };
  const [, payload = ""] = result.value.token.split(".");
  expect(payload).toMatch(/^[A-Za-z0-9]+$/); // the same in either base64 alphabet
  expect(JSON.parse(Buffer.from(payload, "base64").toString())).toMatchObject({ role: "admin" });
  for (const headers of [
    { authorization: result.value.token },
    { authorization: `Bearer ${result.value.token}` },
    { authorization: `Bearer ${token.web}` },
    { authorization: `Basic ${Buffer.from(`any:${token.web}`).toString("base64")}` },
    { "x-api-key": token.web },
  ]) {
    const response = await fetch(`${url}/privacyidea/validate/triggerchallenge`, {
      method: "POST",
      headers,
      body: new URLSearchParams({ user: user.username }),
    });
    expect(await response.json()).toMatchObject({ result: accept });
  }
});

test.each([
  ["no token", "/privacyidea/validate/check", 401, 4033],
  ["a wrong token", `/privacyidea/${"x".repeat(43)}/validate/check`, 401, 4033],
  ["the token of a caller of the API", `/privacyidea/${token.api}/validate/check`, 403, 4031],
  ["a wrong service account", "/privacyidea/auth", 401, 4033],
])("with %s the door stays closed", async (_, path, status, code) => {
  const { username } = await world.addUser();
  const body = new URLSearchParams({
    user: username,
    pass: "",
    username: "keycloak",
    password: "x".repeat(43),
  });
  const response = await fetch(`${url}${path}`, { method: "POST", body });
  expect(response.status).toBe(status);
  expect(await response.json()).toMatchObject({ result: { status: false, error: { code } } });
});

test("without a caller of this protocol the door is not there", async () => {
  const response = await fetch(`${world.url}/privacyidea/${token.radius}/validate/check`, { method: "POST" });
  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({ code: "not-found" });
});

test("no push is ever under way, and what is not offered says so in the envelope", async () => {
  const poll = await fetch(`${url}/privacyidea/${token.web}/validate/polltransaction?transaction_id=1`);
  expect(await poll.json()).toMatchObject({
    result: { value: false },
    detail: { challenge_status: "pending" },
  });
  for (const path of ["token/init", "validate/offlinerefill", "validate/initialize", "x"]) {
    const response = await send({ user: "x" }, { path });
    expect(response.status).toBe(404);
    expect(response.envelope.result).toMatchObject({ status: false });
  }
});

test("the log names the call, and holds no token, code or secret", async () => {
  const user = await world.addUser({ directory: "north" });
  const asked = await challengeOf({ user: user.username, pass: "" }, { token: token.web });
  expect(asked.multi_challenge[0].link).toContain("otpauth");
  expect(world.logged.join("\n")).toContain("validate/check");
});

test("a caller that does not check the password gets nothing to enroll with from the API either (rule 29)", async () => {
  const user = await world.addUser();
  const enrolled = await world.addEnrolledUser();
  const post = (path: string, value: string, body: object) =>
    call(`${url}/v1/${path}`, { token: value, body });
  const username = enrolled.username;
  for (const [path, body] of [
    ["enrollment", { username: user.username }],
    ["enrollment", { username, totp: world.codeOf(enrolled) }],
    ["enrollment/confirm", { username: user.username, totp: "123456" }],
    ["enrollment/disable", { username, totp: world.codeOf(enrolled) }],
    ["backup-codes/regenerate", { username, totp: world.codeOf(enrolled) }],
  ] as const) {
    expect((await post(path, token.radius, body)).json).toMatchObject({ status: 403, code: "forbidden" });
  }
  // What its door does, it may do there; and one that checks the password may enroll.
  const verified = await post("verify", token.radius, { username, totp: world.codeOf(enrolled) });
  expect(verified.status).toBe(200);
  expect((await post("enrollment", token.web, { username: user.username })).status).toBe(201);
});
