// LemonLDAP::NG's REST second factor over real HTTP, as the portal asks it (rule 29).

import { afterAll, beforeAll, expect, test } from "vitest";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { call, callerOf } from "../support/http-server.ts";

const token = "l".repeat(43);
let world: ApiWorld;
let url: string;
beforeAll(async () => {
  world = await openApiWorld();
  const callers = [
    { ...callerOf("portal", token, ["login"]), protocol: "lemonldap" as const },
    callerOf("login-service", "a".repeat(43), ["login"]),
  ];
  ({ url } = await world.startServer(world.deps, { callers }));
});
afterAll(() => world.close());

const verify = async (user: string, code: string) =>
  (await call(`${url}/lemonldap/${token}/verify`, { body: { user, code } })).json;

test("a right code is a result once; a wrong one, a password and a locked user are none", async () => {
  const user = await world.addEnrolledUser();
  expect(await verify(user.username, "my password")).toEqual({ result: false });
  expect(await verify(user.username, world.wrongCodeOf(user))).toEqual({ result: false });
  expect(await verify(user.username, world.codeOf(user))).toEqual({ result: true });
  expect(await verify(user.username, world.codeOf(user))).toEqual({ result: false });
  expect(await verify(user.username, user.backupCodes[0] ?? "")).toEqual({ result: true });
  world.clock.step();
  for (let failure = 0; failure < 5; failure += 1) await verify(user.username, world.wrongCodeOf(user));
  expect(await verify(user.username, world.codeOf(user))).toEqual({ result: false });
});

test("a user of whom nothing is asked passes with anything; who must enroll, is unknown or disabled does not", async () => {
  const user = await world.addUser();
  expect(await verify(user.username, "")).toEqual({ result: true });
  await world.replica({ mode: "required" }); // in force from now on
  expect(await verify(user.username, "")).toEqual({ result: false });
  await world.replica();
  expect(await verify("nobody", "123456")).toEqual({ result: false });
  const disabled = await world.addUser({ state: "disabled" });
  expect(await verify(disabled.username, "123456")).toEqual({ result: false });
});

test("the credentials of the portal's URL arrive as Basic", async () => {
  const user = await world.addUser();
  const authorization = `Basic ${Buffer.from(`portal:${token}`).toString("base64")}`;
  const answer = await call(`${url}/lemonldap/verify`, {
    body: { user: user.username, code: "" },
    headers: { authorization },
  });
  expect(answer.json).toEqual({ result: true });
});

test.each([
  ["no token", "/lemonldap/verify", 401],
  ["a wrong token", `/lemonldap/${"x".repeat(43)}/verify`, 401],
  ["the token of another caller", `/lemonldap/${"a".repeat(43)}/verify`, 403],
])("with %s the door stays closed", async (_, path, status) => {
  expect((await call(`${url}${path}`, { body: { user: "nobody", code: "" } })).status).toBe(status);
});

test.each([{}, { user: "x" }, { user: 1, code: "1" }, { user: ["x"], code: "1" }])(
  "a body like %j is refused",
  async (body) => {
    expect((await call(`${url}/lemonldap/${token}/verify`, { body })).status).toBe(400);
  },
);

test("without a caller of this protocol the door is not there, and no log has the token", async () => {
  expect((await call(`${world.url}/lemonldap/${token}/verify`, { body: {} })).status).toBe(404);
  expect(world.logged.join("\n")).not.toContain(token);
});
