// What the console's pages show as a whole, through the API: enrollment over time, directories, audit chain, configuration.

import { afterAll, beforeAll, expect, test } from "vitest";
import {
  AuditChainState,
  ConfigurationInForce,
  DirectoryStates,
  Enrollment,
} from "../../src/http/routes/overview-schemas.ts";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { call, callers, readAs, tokens } from "../support/http-server.ts";

let world: ApiWorld;
beforeAll(async () => {
  world = await openApiWorld();
});
afterAll(() => world.close());

const get = (path: string) => call(`${world.url}${path}`, { token: tokens.audit });

test("enrollment is told as it is now, and for each of the last days", async () => {
  const { db } = world.database;
  const before = readAs(Enrollment, await get("/v1/admin/enrollment"));
  expect(before.enrolledByDay).toHaveLength(90);
  const enrolled = await world.addEnrolledUser();
  await db("authenticators")
    .where({ user_id: enrolled.id })
    .update({ confirmed_at: db.raw("now() - interval '2 days'") });
  const missing = await world.addUser();
  await world.admin(`/v1/admin/users/${missing.id}/mfa-required`, {
    method: "PUT",
    body: { required: true },
  });

  const after = readAs(Enrollment, await get("/v1/admin/enrollment?days=4"));
  expect(after).toMatchObject({
    active: before.active + 2,
    enrolled: before.enrolled + 1,
    missing: before.missing + 1,
    overdue: before.overdue + 1,
  });
  const [first, ...rest] = after.enrolledByDay.map(({ enrolled: count }) => count);
  expect(after.enrolledByDay.at(-1)?.day).toBe(new Date().toISOString().slice(0, 10));
  expect(rest).toEqual([1, 1, 1].map((more) => (first ?? 0) + more));
  for (const days of ["0", "367", "x"])
    expect((await get(`/v1/admin/enrollment?days=${days}`)).status).toBe(400);
});

test("a directory is told with its age, its last run and the next one, and with nulls before the first", async () => {
  const { db } = world.database;
  const fresh = readAs(DirectoryStates, await get("/v1/admin/directories"));
  expect(fresh.directories).toEqual([
    {
      name: "main",
      ageSeconds: null,
      olderCopySeconds: null,
      skipped: null,
      nextRunAt: null,
      lastRun: null,
    },
  ]);
  await db("directories").insert({ name: "main", last_complete_at: db.raw("now() - interval '1 hour'") });
  await world.admin("/v1/admin/sync-runs", { body: { directory: "main", dryRun: true }, actor: "jane" });
  const { directories } = readAs(DirectoryStates, await get("/v1/admin/directories"));
  expect(directories[0]).toMatchObject({ lastRun: { dryRun: true, requestedBy: "jane (caller:help-desk)" } });
  expect(directories[0]?.ageSeconds).toBeGreaterThanOrEqual(3600);
});

test("the state of the audit chain is told", async () => {
  expect(readAs(AuditChainState, await get("/v1/admin/audit-chain"))).toEqual({
    unsealedSeconds: 0,
    broken: false,
  });
});

test("the configuration in force is told without a secret, a hash of a token, or the path of a key", async () => {
  const answer = await get("/v1/admin/configuration");
  const { mfa, directories, callers: told } = readAs(ConfigurationInForce, answer);
  expect(mfa).toMatchObject({ mode: "optional", backupCodes: world.deps.mfa.backupCodes.count });
  expect(directories[0]).toMatchObject({ name: "main", bindDn: "cn=sync,dc=example,dc=org", schedule: null });
  expect(told.map(({ name }) => name)).toEqual(callers.map(({ name }) => name));
  for (const secret of ["never-sent-0123", "/nowhere", ...callers.map(({ tokenSha256 }) => tokenSha256)])
    expect(answer.text).not.toContain(secret);
});
