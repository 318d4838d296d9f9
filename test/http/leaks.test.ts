// Rule 22: everything that the API does, at the most verbose level, and then the log and all error bodies searched for
// every token, secret and code that was used.

import { afterAll, beforeAll, expect, test } from "vitest";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { call, tokens } from "../support/http-server.ts";
import { secretOf, totpOf, wrongTotpOf } from "../verification/verification-world.ts";

let world: ApiWorld;
beforeAll(async () => {
  world = await openApiWorld();
});
afterAll(() => world.close());

test("no token, secret or code is in the log or in an error", async () => {
  const used = new Set<string>(Object.values(tokens));
  const errors: string[] = [];
  const post = async (path: string, body: Record<string, string>, token: string = tokens.login) => {
    const answer = await call(`${world.url}${path}?token=${tokens.login}`, { token, body });
    if (answer.status >= 400) errors.push(answer.text);
    for (const name of ["totp", "backupCode"]) if (body[name] !== undefined) used.add(body[name]);
    return answer;
  };
  const { id, username } = await world.addUser();
  const enrollment = (await post("/v1/enrollment", { username })).json as { secret: string; uri: string };
  const secret = secretOf(enrollment.secret);
  for (const form of [enrollment.secret, secret.toString("hex"), secret.toString("base64"), enrollment.uri])
    used.add(form);
  const now = () => totpOf(secret, world.clock.now());
  const wrong = wrongTotpOf(secret, world.clock.now());

  await post("/v1/enrollment/confirm", { username, totp: wrong });
  const { backupCodes } = (await post("/v1/enrollment/confirm", { username, totp: now() })).json as {
    backupCodes: string[];
  };
  for (const code of backupCodes) used.add(code).add(code.replaceAll("-", ""));
  world.clock.step();
  await post("/v1/verify", { username, totp: now() });
  await post("/v1/verify", { username, totp: now() });
  await post("/v1/verify", { username, backupCode: backupCodes[0] ?? "" });
  await post("/v1/verify", { username, backupCode: "WXYZ-WXYZ-WXYZ" });
  await post("/v1/verify", { username, totp: "482915", backupCode: "ABCD-EFGH-JKMN" });
  await post("/v1/verify", { username, totp: `739164${"0".repeat(100)}` });
  await post("/v1/verify", { username: "nobody", totp: "615283" });
  await post("/v1/verify", { username, totp: now() }, "wrong-token-0123456789");
  used.add("wrong-token-0123456789");
  world.clock.step();
  await post("/v1/backup-codes/regenerate", { username, totp: wrong });
  for (let i = 0; i < 6; i++) await post("/v1/verify", { username, totp: wrong });
  await world.database
    .db("authenticators")
    .where({ user_id: id })
    .update({ sealed: Buffer.alloc(64) });
  await post(`/v1/admin/users/${id}/unlock`, {}, tokens.admin);
  world.clock.step();
  await post("/v1/enrollment/disable", { username, totp: now() });
  // Broken on purpose, so that an error with a stack and a message of the database is logged.
  await world.database.db.raw("alter table authenticators rename to hidden_authenticators");
  const broken = await post("/v1/verify", { username, totp: "918273" });
  await world.database.db.raw("alter table hidden_authenticators rename to authenticators");

  expect(broken.status).toBe(500);
  expect(errors.length).toBeGreaterThan(8);
  const log = world.logged.join("");
  expect(log).toContain("request failed");
  for (const [where, text] of [
    ["log", log],
    ["errors", errors.join("\n")],
  ] as const) {
    for (const value of used) {
      // As a word of its own: six digits may be part of a time.
      const found = new RegExp(`(?<![0-9A-Za-z])${value.replace(/\W/g, "\\$&")}(?![0-9A-Za-z])`).test(text);
      expect([where, value, found]).toEqual([where, value, false]);
    }
  }
});
