// Who gets in: tokens, scopes, rate limits, and the acting person of an admin call.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { Scope } from "../../src/config/config.ts";
import { actorOf, actorOfRequest } from "../../src/http/caller-auth.ts";
import { createRateLimit, createRateLimits } from "../../src/http/rate-limit.ts";
import {
  call,
  callerOf,
  callers,
  sha256Of,
  startListeners,
  type TestListeners,
  tokens,
} from "../support/http-server.ts";

let listeners: TestListeners;
const scopes = ["login", "help-desk", "audit", "admin", "metrics"] as const satisfies Scope[];
let now = new Date("2026-01-01T00:00:00Z");
const clock = { now: () => now };
const slowToken = "slow-token-0123456789abcdef";
const busyToken = "busy-token-0123456789abcdef";
const [oldToken, newToken, spareToken] = ["old", "new", "spare"].map(
  (name) => `${name}-token-0123456789abcdef`,
) as [string, string, string]; // three go in, three come out

beforeAll(async () => {
  listeners = await startListeners({
    clock,
    config: {
      callers: [
        ...callers,
        callerOf("slow", slowToken, ["login"], 2),
        callerOf("busy", busyToken, ["login"], 10, 2),
        {
          ...callerOf("rotating", oldToken, ["login"], 2),
          furtherTokensSha256: [sha256Of(newToken), sha256Of(spareToken)],
        },
      ],
    },
    addRoutes(app) {
      for (const scope of [...scopes, "open"] as const) {
        app.get(`/${scope}`, { config: { scope } }, async ({ caller }) => ({ caller: caller?.name ?? null }));
      }
      app.get("/either", { config: { scope: ["audit", "help-desk"] } }, async () => ({}));
      app.post("/about", { config: { scope: "login" } }, async () => ({}));
      app.get("/forgotten", async () => ({}));
      app.get("/actor", { config: { scope: "admin" } }, async (request) => ({
        actor: actorOfRequest(request),
      }));
    },
  });
});
afterAll(() => listeners.server.close());

test.each(scopes.flatMap((has) => scopes.map((needed) => ({ has, needed }))))(
  "a token with scope $has gets what it should at a route for $needed",
  async ({ has, needed }) => {
    const answer = await call(`${listeners.url}/${needed}`, { token: tokens[has] });
    expect(answer.status).toBe(has === needed ? 200 : 403);
    if (has !== needed) expect(answer.json).toMatchObject({ code: "forbidden" });
  },
);

test("a route for one of several scopes takes any of them, and names them to the others", async () => {
  expect((await call(`${listeners.url}/either`, { token: tokens.audit })).status).toBe(200);
  expect((await call(`${listeners.url}/either`, { token: tokens["help-desk"] })).status).toBe(200);
  const refused = await call(`${listeners.url}/either`, { token: tokens.login });
  expect(refused.status).toBe(403);
  expect(refused.json).toMatchObject({ detail: 'The call needs one of the scopes "audit", "help-desk".' });
});

test("every token of a caller is that caller, and all share one rate", async () => {
  const ask = (token: string) => call(`${listeners.url}/login`, { token });
  for (const token of [newToken, oldToken, spareToken, newToken]) {
    expect((await ask(token)).json).toEqual({ caller: "rotating" });
  }
  expect((await ask(oldToken)).status).toBe(429);
});

test("a flood on one user leaves the caller's rate to the other users", async () => {
  const ask = (username: string) =>
    call(`${listeners.url}/about`, { token: busyToken, body: { username, totp: "000000" } });
  const flood = await Promise.all(Array.from({ length: 70 }, (_, i) => ask(i % 2 ? "Locked" : " locked ")));
  expect(flood.filter(({ status }) => status === 200)).toHaveLength(4);
  expect(flood.find(({ status }) => status === 429)?.json).toMatchObject({ code: "rate-limited" });
  const others = await Promise.all(Array.from({ length: 16 }, (_, i) => ask(`other-${i}`)));
  expect(others.map(({ status }) => status)).toEqual(others.map(() => 200));
  expect((await ask("one-too-many")).status).toBe(429);
  now = new Date(now.getTime() + 500);
  expect([(await ask("locked")).status, (await ask("locked")).status]).toEqual([200, 429]);
});

test("users are forgotten when there are too many, those asked about longest ago first", () => {
  const limits = createRateLimits(1, { now: () => new Date(0) });
  const drain = (key: string) => [limits.take(key), limits.take(key), limits.take(key)];
  expect(drain("flooded")).toEqual([0, 0, 1]);
  for (let other = 0; other < 9_999; other++) limits.take(`user-${other}`);
  expect(limits.take("flooded")).toBe(1);
  for (let other = 0; other < 20_000; other++) limits.take(`user-${other}`);
  expect(limits.take("flooded")).toBe(0);
});

test("an open route asks for no token, and takes none into account", async () => {
  expect((await call(`${listeners.url}/open`)).json).toEqual({ caller: null });
  expect((await call(`${listeners.url}/open`, { token: "nonsense" })).status).toBe(200);
});

test("a route that names no scope is refused to everybody", async () => {
  const answer = await call(`${listeners.url}/forgotten`, { token: tokens.every });
  expect(answer.status).toBe(500);
  expect(answer.json).toMatchObject({ code: "internal" });
});

test.each([
  ["none", undefined],
  ["empty", ""],
  ["without a token", "Bearer"],
  ["of an unknown token", "Bearer unknown-token-0123456789"],
  ["of another scheme", `Basic ${Buffer.from(`a:${tokens.login}`).toString("base64")}`],
  ["with the bare token", tokens.login],
  ["with a token too many", `Bearer ${tokens.login} ${tokens.admin}`],
  ["with a token cut short", `Bearer ${tokens.login.slice(0, -1)}`],
  ["with a token made longer", `Bearer ${tokens.login}x`],
  ["with the hash of a token", `Bearer ${callers[0]?.tokenSha256}`],
  ["very long", `Bearer ${"x".repeat(4000)}`],
])("an Authorization header that is %s is refused", async (_, authorization) => {
  const answer = await call(`${listeners.url}/login`, {
    headers: authorization === undefined ? {} : { authorization },
  });
  expect(answer.status).toBe(401);
  expect(answer.headers.get("www-authenticate")).toContain("Bearer");
  expect(answer.json).toMatchObject({ code: "unauthorized" });
});

test("a caller beyond its rate is told when to come back, and no other caller feels it", async () => {
  const ask = (token: string) => call(`${listeners.url}/login`, { token });
  const burst = [];
  for (let i = 0; i < 6; i++) burst.push((await ask(slowToken)).status);
  expect(burst).toEqual([200, 200, 200, 200, 429, 429]);
  const refused = await ask(slowToken);
  expect(refused.json).toMatchObject({ code: "rate-limited" });
  expect(refused.headers.get("retry-after")).toBe("1");
  expect((await ask(tokens.login)).status).toBe(200);
  now = new Date(now.getTime() + 500);
  expect((await ask(slowToken)).status).toBe(200);
  expect((await ask(slowToken)).status).toBe(429);
});

test("a rate limit survives a clock that jumps back, and never gives out more than the burst", () => {
  let ms = 1_000_000;
  const limit = createRateLimit(1, { now: () => new Date(ms) });
  expect([limit.take(), limit.take()]).toEqual([0, 0]);
  ms -= 500_000;
  expect(limit.take()).toBe(1);
  ms += 3_600_000;
  expect([limit.take(), limit.take(), limit.take()]).toEqual([0, 0, 1]);
});

test("a rate below one a second still lets single requests through", () => {
  let ms = 0;
  const limit = createRateLimit(0.1, { now: () => new Date(ms) });
  expect([limit.take(), limit.take()]).toEqual([0, 10]);
  ms = 10_000;
  expect(limit.take()).toBe(0);
});

test("the actor is the person in X-Actor, with the caller that named them", async () => {
  const actor = async (headers: Record<string, string>) =>
    (await call(`${listeners.url}/actor`, { token: tokens.admin, headers })).json;
  expect(await actor({})).toMatchObject({ actor: { name: "caller:help-desk", via: "api" } });
  expect(await actor({ "x-actor": " jane " })).toMatchObject({
    actor: { name: "jane (caller:help-desk)", via: "api" },
  });
  const umlaut = Buffer.from("Jürgen").toString("latin1");
  expect(await actor({ "x-actor": umlaut })).toMatchObject({
    actor: { name: "Jürgen (caller:help-desk)", via: "api" },
  });
});

test.each([
  ["empty", ""],
  ["blank", "   "],
  ["too long", "x".repeat(201)],
  ["not UTF-8", "J\xfcrgen"],
  ["with a tab", "a\tb"],
  ["with a character that turns text around", Buffer.from("evil\u202egnp").toString("latin1")],
  ["with an invisible character", Buffer.from("a\u200bb").toString("latin1")],
])("an X-Actor that is %s is refused", (_, header) => {
  expect(() => actorOf({ name: "help-desk" }, header)).toThrow("invalid-request");
});
