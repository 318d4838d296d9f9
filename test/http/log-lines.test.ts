// What an operator sees at `info` (rule 22): refused codes, lockouts, resets and refused calls, with the request they come from,
// and a flood of them in few lines.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createLog } from "../../src/log.ts";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { call, tokens } from "../support/http-server.ts";

let world: ApiWorld;
let url: string;
let lines: string[];
beforeAll(async () => {
  world = await openApiWorld();
});
afterAll(() => world.close());
beforeEach(async () => {
  lines = [];
  const log = createLog("info", { write: (line: string) => void lines.push(line) });
  ({ url } = await world.startServer({ ...world.deps, log }));
});

function told(phrase: string): Record<string, unknown>[] {
  return lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === phrase);
}

const post = (path: string, token: string | undefined, body?: object, requestId = "request-0001") =>
  call(`${url}${path}`, {
    method: "POST",
    headers: { "x-request-id": requestId },
    ...(token === undefined ? {} : { token }),
    ...(body ? { body } : {}),
  });

test("a wrong code, the lockout it begins and what is refused during it are told with request, caller and user", async () => {
  const user = await world.addEnrolledUser();
  const { username, id } = user;
  const wrong = world.wrongCodeOf(user);
  for (let i = 1; i <= 6; i++)
    await post("/v1/verify", tokens.login, { username, totp: wrong }, `request-000${i}`);
  const facts = {
    level: "info",
    userId: id,
    actor: "caller:login-service",
    method: "totp",
    purpose: "sign-in",
  };
  expect(told("code refused")).toHaveLength(5);
  expect(told("code refused")[0]).toMatchObject({
    ...facts,
    requestId: "request-0001",
    outcome: "wrong-code",
  });
  expect(told("user locked out")).toMatchObject([
    { ...facts, requestId: "request-0005", lockedUntil: expect.any(String) },
  ]);
  expect(told("code refused during a lockout")).toMatchObject([{ ...facts, requestId: "request-0006" }]);
  expect(lines.join("")).not.toContain(wrong);
});

test("a reset and other changes are told when they were made, and not when they were refused", async () => {
  const { id } = await world.addEnrolledUser();
  await post(`/v1/admin/users/${id}/disable-mfa`, tokens.admin, { issuePass: true });
  await post(`/v1/admin/users/${id}/disable-mfa`, tokens.admin);
  expect(told("change made")).toMatchObject([
    {
      requestId: "request-0001",
      caller: "help-desk",
      userId: id,
      route: "/v1/admin/users/:id/disable-mfa",
    },
  ]);
});

test("a call without a valid token, outside its scopes or beyond its rate is told, without token and name", async () => {
  await post("/v1/verify", "wrong-token-0123456789", { username: "my password by mistake", totp: "000000" });
  await post("/v1/verify", undefined, {});
  await post("/v1/verify", tokens.audit, {});
  expect(told("call refused: no valid token")).toMatchObject([
    { requestId: "request-0001", caller: null, route: "/v1/verify", remoteAddress: "127.0.0.1" },
    { caller: null },
  ]);
  expect(told("call refused: outside the caller's scopes")).toMatchObject([{ route: "/v1/verify" }]);
  expect(lines.join("")).not.toContain("wrong-token");
  expect(lines.join("")).not.toContain("mistake");
});

test("a flood writes few lines, and one that counts the rest; other phrases keep their own", async () => {
  const written: { msg: string; phrase?: string; leftOut?: number }[] = [];
  const bound = { lines: 3, windowMs: 100 };
  const log = createLog("info", { write: (line: string) => void written.push(JSON.parse(line)) }, { bound });
  const [one, other] = [log.child({ a: 1 }), log];
  for (let i = 0; i < 1_000; i++) (i % 2 ? one : other).info({ i }, "code refused");
  log.info({}, "user locked out");
  for (let i = 0; i < 10; i++) log.info("sync run started");
  const countOf = (phrase: string) => written.filter(({ msg }) => msg === phrase).length;
  expect([countOf("code refused"), countOf("user locked out"), countOf("sync run started")]).toEqual([
    3, 1, 10,
  ]);
  await sleep(200);
  expect(written.filter(({ msg }) => msg === "lines left out")).toMatchObject([
    { phrase: "code refused", leftOut: 997 },
  ]);
  log.info("code refused");
  expect(countOf("code refused")).toBe(4);
});
