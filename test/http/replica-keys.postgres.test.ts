// Sealing keys over several replicas: one that lacks a key says so and refuses for now, and a rotation asks the others (rule 20).

import { randomBytes } from "node:crypto";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startKeyReports } from "../../src/sealing/report-keys.ts";
import { generateKey, rotateKeys } from "../../src/sealing/rotate-keys.ts";
import { openSealingKeys } from "../../src/sealing/sealing-keys.ts";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { call, callerOf, tokens } from "../support/http-server.ts";
import { admin } from "../verification/verification-world.ts";

let world: ApiWorld;
/** The key folder of the other replica. */
let elsewhere: string;
beforeEach(async () => {
  world = await openApiWorld();
  elsewhere = await mkdtemp(join(tmpdir(), "dirmfa-keys-"));
  await copyFile(join(world.folder, "first.key"), join(elsewhere, "first.key"));
});
afterEach(async () => {
  await world.close();
  await rm(elsewhere, { recursive: true });
});

const depsIn = (folder: string) => ({ db: world.database.db, folder, log: world.deps.log, randomBytes });
const generate = () => generateKey({ ...depsIn(world.folder), clock: world.clock });
const rotate = (despiteReplicas = false) =>
  rotateKeys(depsIn(world.folder), { to: undefined, actor: admin, despiteReplicas });
/** As the daemon does, once. */
async function reportOnce(folder: string, holder: string): Promise<{ stop(): Promise<void> }> {
  return startKeyReports({ ...depsIn(folder), holder });
}

test("a replica without the new key is not ready and answers unavailable, until it has the file", async () => {
  const user = await world.addEnrolledUser("ada");
  const keys = await openSealingKeys(depsIn(elsewhere));
  const doors = { privacyidea: "p".repeat(43), lemonldap: "l".repeat(43) } as const;
  const other = await world.startServer(
    { ...world.deps, keys },
    {
      callers: [
        callerOf("login", tokens.login, ["login"]),
        { ...callerOf("privacyidea", doors.privacyidea, ["login"]), protocol: "privacyidea" },
        { ...callerOf("portal", doors.lemonldap, ["login"]), protocol: "lemonldap" },
      ],
    },
  );
  const verify = (body: object) => call(`${other.url}/v1/verify`, { token: tokens.login, body });
  expect((await call(`${other.url}/readyz`)).status).toBe(200);

  const { id, path } = await generate();
  await rotate();
  const ready = await call(`${other.url}/readyz`);
  expect([ready.status, ready.json]).toMatchObject([503, { code: "unavailable" }]);
  // Not for strangers; the log tells it.
  expect(ready.text).not.toContain(id);
  expect(world.logged.join("")).toContain(`has no file ${id}.key`);
  const code = { username: "ada", totp: world.codeOf(user) };
  const refused = await verify(code);
  expect([refused.status, refused.json]).toMatchObject([503, { code: "unavailable" }]);
  expect((await verify({ username: "ada", backupCode: user.backupCodes[0] })).status).toBe(503);
  const viaPrivacyIdea = await call(`${other.url}/privacyidea/${doors.privacyidea}/validate/check`, {
    body: { user: "ada", pass: code.totp },
  });
  expect([viaPrivacyIdea.status, viaPrivacyIdea.json]).toMatchObject([
    503,
    { result: { error: { code: 503 } } },
  ]);
  const body = { user: "ada", code: code.totp };
  expect((await call(`${other.url}/lemonldap/${doors.lemonldap}/verify`, { body })).status).toBe(503);
  const begun = await call(`${other.url}/v1/enrollment`, {
    token: tokens.login,
    body: { username: (await world.addUser()).username },
  });
  expect(begun.status).toBe(503);

  await copyFile(path, join(elsewhere, `${id}.key`));
  expect((await call(`${other.url}/readyz`)).status).toBe(200);
  // Nothing was spent by the refusals.
  expect((await verify(code)).status).toBe(200);
});

test("a rotation waits for a running replica that lacks the key, and names it", async () => {
  const here = await reportOnce(world.folder, "here:1");
  const there = await reportOnce(elsewhere, "there:2");
  const { id, path } = await generate();
  await here.stop();
  await expect(rotate()).rejects.toMatchObject({
    code: "key-missing",
    message: `Running replicas do not have the key ${id}: there:2.`,
  });
  expect(await world.database.db("sealing_keys")).toHaveLength(1);
  await there.stop();
  await copyFile(path, join(elsewhere, `${id}.key`));
  const again = await reportOnce(elsewhere, "there:2");
  expect(await rotate()).toMatchObject({ activeKey: id });
  await again.stop();
  expect(await world.database.db("replicas")).toEqual([]);
});

test("another key under the same id counts as none", async () => {
  const { id } = await generate();
  await writeFile(join(elsewhere, `${id}.key`), `${randomBytes(32).toString("base64")}\n`);
  const there = await reportOnce(elsewhere, "there:2");
  await expect(rotate()).rejects.toMatchObject({ code: "key-missing" });
  await there.stop();
});

test("a replica that died is not waited for, nor one that the admin gives up", async () => {
  const dead = await reportOnce(elsewhere, "dead:3");
  await generate();
  await expect(rotate()).rejects.toMatchObject({ code: "key-missing" });
  await world.database.db.raw("update replicas set seen_at = now() - interval '61 seconds'");
  expect(await rotate()).toMatchObject({ retired: ["first"] });
  await generate();
  await world.database.db.raw("update replicas set seen_at = now()");
  expect(await rotate(true)).toMatchObject({ unreadable: [] });
  await dead.stop();
});
