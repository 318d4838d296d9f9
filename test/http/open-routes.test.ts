// The calls without a token, the API's own description, and what is left when the database goes away.

import { Validator } from "@seriousme/openapi-schema-validator";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { runStatement } from "../../scripts/servers/postgres.ts";
import { problemKinds } from "../../src/http/problems.ts";
import { openDatabase } from "../../src/store/database.ts";
import { readDescription } from "../support/api-description.ts";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { call, callers, tokens } from "../support/http-server.ts";

let world: ApiWorld;
beforeAll(async () => {
  world = await openApiWorld();
});
afterAll(() => world.close());

interface Operation {
  summary?: string;
  security?: object[];
  requestBody?: { content: Record<string, { schema: object }> };
  responses: Record<
    string,
    { content?: Record<string, { schema: { allOf?: { properties: { code: { enum?: string[] } } }[] } }> }
  >;
}
interface Description {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
}

test("the process lives and is ready, and says how old each directory's copy is", async () => {
  expect((await call(`${world.url}/healthz`)).json).toEqual({ status: "alive" });
  expect((await call(`${world.url}/readyz`)).json).toEqual({
    status: "ready",
    lastCompleteAt: null,
  });
  await world.database
    .db("directories")
    .insert({ name: "main", last_complete_at: new Date("2026-01-01T00:00:00Z") });
  expect((await call(`${world.url}/readyz`)).json).toMatchObject({
    lastCompleteAt: "2026-01-01T00:00:00.000Z",
  });
  const run = { kind: "full", trigger: "schedule", requested_by: "test", dry_run: false, fencing_token: 1 };
  await world.database
    .db("sync_runs")
    .insert({ ...run, directory: "main", status: "held", finished_at: new Date(), skipped: 7 });
  const { text } = await call(`${world.url}/metrics`, { token: tokens.metrics });
  expect(text).toMatch(/dirmfa_sync_age_seconds\{directory="main"\} \d+/);
  expect(text).toContain('dirmfa_sync_skipped_entries{directory="main"} 7');
});

test("a schema of another version is unready, and the process still lives", async () => {
  const { db } = world.database;
  const { migration } = await db("schema_version").first("migration");
  const loggedBefore = world.logged.length;
  await db("schema_version").update({ migration: "9999_newer" });
  const answer = await call(`${world.url}/readyz`);
  await db("schema_version").update({ migration });
  expect(answer.status).toBe(503);
  expect(answer.json).toMatchObject({
    code: "unavailable",
    detail: expect.stringContaining("schema-too-new"),
  });
  expect((await call(`${world.url}/healthz`)).status).toBe(200);
  expect((await call(`${world.url}/readyz`)).status).toBe(200);
  // A reason and no stack: a probe asks every few seconds.
  const logged = world.logged.slice(loggedBefore);
  const line = logged.find((text) => text.includes("request could not be answered"));
  expect(line).toContain("The database schema cannot be used");
  expect(line).not.toContain("at ");
});

test("without the database every call that needs it is unavailable, and none reads as allowed", async () => {
  const name = `gone_${Date.now()}`;
  const serverUrl = inject("postgresUrl");
  await runStatement(serverUrl, `create database ${name} template dirmfa_template`);
  const url = serverUrl.replace(/postgres$/, name);
  const { db, close } = await openDatabase(
    { kind: "postgres", url, poolSize: 3 },
    { log: world.deps.log, owner: true },
  );
  const server = await world.startServer(await world.replica({}, db));
  await runStatement(serverUrl, `drop database ${name} with (force)`);
  const calls = [
    ["/v1/sign-in", tokens.login, { username: "ada" }],
    ["/v1/verify", tokens.login, { username: "ada", totp: "123456" }],
    ["/v1/admin/users", tokens.admin, undefined],
    ["/readyz", undefined, undefined],
  ] as const;
  for (const [path, token, body] of calls) {
    const answer = await call(`${server.url}${path}`, {
      ...(token ? { token } : {}),
      ...(body ? { body } : {}),
    });
    expect([path, answer.status, answer.json]).toMatchObject([path, 503, { code: "unavailable" }]);
    expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
    expect(answer.text).not.toContain(name);
  }
  expect((await call(`${server.url}/healthz`)).status).toBe(200);
  expect((await call(`${server.url}/metrics`, { token: tokens.metrics })).status).toBe(200);
  await close();
});

test("the description is valid OpenAPI 3.1", async () => {
  const { text } = await call(`${world.url}/openapi.json`);
  const description: Description = JSON.parse(text);
  const validator = new Validator();
  const { valid, errors } = await validator.validate(JSON.parse(JSON.stringify(description)));
  expect(errors ?? []).toEqual([]);
  expect(valid).toBe(true);
  expect(description.openapi).toBe("3.1.0");
  const ids = [...text.matchAll(/"operationId":"(\w+)"/g)].map(([, id]) => id);
  expect(ids).toContain("postSignIn");
  expect(new Set(ids).size).toBe(ids.length);
  expect(text).toContain('"servers":[{"url":"/"');
});

test("what has a name in the description stands there once, and is referred to", async () => {
  const { text } = await call(`${world.url}/openapi.json`);
  const { components, paths } = JSON.parse(text);
  for (const name of ["User", "Problem", "SyncRun", "SyncChange", "AuditEvent", "SignInAnswer", "Lockout"]) {
    expect(text).toContain(`"$ref":"#/components/schemas/${name}"`);
    expect(Object.keys(components.schemas)).toContain(name);
  }
  expect(text).not.toMatch(/"title":"[A-Z]/);
  const body = ({ post }: { post: { requestBody: { required: boolean } } }) => post.requestBody.required;
  expect(body(paths["/v1/sign-in"])).toBe(true);
  expect(body(paths["/v1/admin/users/{id}/unlock"])).toBe(false);
  // With everything in each place it were two and a half times as long.
  expect(text.length).toBeLessThan(90_000);
});

test("the description has every call of the specification, and no other", async () => {
  const { paths } = await readDescription<Description>(world.url);
  const calls = Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(calls.sort()).toEqual(
    [
      "POST /v1/sign-in",
      "GET /v1/admin/notices",
      "POST /v1/admin/notices/retry",
      "POST /v1/admin/notices/{id}/retry",
      "GET /v1/admin/audit-chain",
      "GET /v1/admin/configuration",
      "GET /v1/admin/directories",
      "GET /v1/admin/enrollment",
      "POST /v1/admin/users/refresh",
      "POST /v1/verify",
      "POST /v1/status",
      "POST /v1/enrollment",
      "POST /v1/enrollment/confirm",
      "POST /v1/enrollment/disable",
      "POST /v1/backup-codes/regenerate",
      "GET /v1/admin/users",
      "GET /v1/admin/users/counts",
      "POST /v1/admin/users/mfa-required",
      "POST /v1/admin/users/unlock",
      "GET /v1/admin/users/{id}",
      "PUT /v1/admin/users/{id}/mfa-required",
      "POST /v1/admin/users/{id}/disable-mfa",
      "POST /v1/admin/users/{id}/enrollment-pass",
      "POST /v1/admin/users/{id}/unlock",
      "GET /v1/admin/users/{id}/events",
      "POST /v1/admin/sync-runs",
      "GET /v1/admin/sync-runs",
      "GET /v1/admin/sync-runs/{id}",
      "GET /v1/admin/sync-runs/{id}/changes",
      "POST /v1/admin/sync-runs/{id}/approve",
      "GET /v1/admin/audit-events",
      "GET /healthz",
      "GET /readyz",
      "GET /metrics",
    ].sort(),
  );
});

test("every problem code is described where it can come", async () => {
  const { paths } = await readDescription<Description>(world.url);
  const described = new Set<string>();
  for (const operation of Object.values(paths).flatMap((operations) => Object.values(operations))) {
    for (const [status, response] of Object.entries(operation.responses)) {
      const codes =
        response.content?.["application/problem+json"]?.schema.allOf?.[1]?.properties.code.enum ?? [];
      for (const code of codes) {
        described.add(code);
        expect([code, status]).toEqual([
          code,
          String(problemKinds[code as keyof typeof problemKinds].status),
        ]);
      }
    }
  }
  // An address without a call has no place in a description of calls.
  const all = Object.keys(problemKinds).filter((code) => code !== "method-not-allowed");
  expect([...described].sort()).toEqual(all.sort());
});

test("every described call asks for the right scope, and refuses all others", async () => {
  const { paths } = await readDescription<Description>(world.url);
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const url = `${world.url}${path.replace("{id}", "00000000-0000-4000-8000-000000000000")}`;
      const scope = path.startsWith("/v1/admin/")
        ? "admin"
        : path.startsWith("/v1/")
          ? "login"
          : path.slice(1);
      const isOpen = scope === "healthz" || scope === "readyz";
      expect([path, operation.security]).toEqual([path, isOpen ? [] : [{ token: [] }]]);
      const statusWith = async (token?: string) =>
        (await call(url, { method: method.toUpperCase(), ...(token ? { token } : {}) })).status;
      if (isOpen) {
        expect([path, await statusWith()]).toEqual([path, 200]);
        continue;
      }
      expect([path, await statusWith()]).toEqual([path, 401]);
      for (const other of ["login", "admin", "metrics"] as const) {
        const status = await statusWith(tokens[other]);
        if (other === scope) expect([401, 403, 500]).not.toContain(status);
        else expect([path, other, status]).toEqual([path, other, 403]);
      }
    }
  }
});

test("metrics leave the main listener when they have one of their own", async () => {
  const { url, server } = await world.startServer(world.deps, {
    callers,
    metricsListen: { kind: "tcp", host: "127.0.0.1", port: 0 },
  });
  expect((await call(`${url}/metrics`, { token: tokens.metrics })).status).toBe(404);
  await server.close();
});

test("a body with a code and a pass is told that they exclude each other", async () => {
  const body = { username: "ada", totp: "000000", enrollmentPass: "AAAA-AAAA-AAAA" };
  const { status, json } = await call(`${world.url}/v1/enrollment`, { token: tokens.login, body });
  expect(status).toBe(400);
  expect(json).toMatchObject({
    detail: 'The body must have one at most of "totp" and "enrollmentPass" and "backupCode".',
  });
});

test("a body with both kinds of code, or with neither, is told which fields exclude each other", async () => {
  const url = `${world.url}/v1/verify`;
  for (const codes of [{}, { totp: "000000", backupCode: "AAAA-AAAA-AAAA" }]) {
    const { status, json } = await call(url, { token: tokens.login, body: { username: "ada", ...codes } });
    expect(status).toBe(400);
    expect(json).toMatchObject({ detail: 'The body must have exactly one of "totp" and "backupCode".' });
  }
});
