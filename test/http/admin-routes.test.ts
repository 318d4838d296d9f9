// The admin scope over real HTTP: users and what may be changed of them, sync runs, audit events.

import { randomUUID } from "node:crypto";
import { createServer, type Server } from "node:net";
import type { Static } from "typebox";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { AuditEventPage } from "../../src/http/routes/admin-audit-schemas.ts";
import { SyncRun, SyncRunDetail, SyncRunPage } from "../../src/http/routes/admin-sync-schemas.ts";
import { DisabledMfa, IssuedPass, UserDetail, UserPage } from "../../src/http/routes/admin-user-schemas.ts";
import { type ApiWorld, deadDirectoryUrl, openApiWorld } from "../support/api-world.ts";
import { call, readAs, tokens } from "../support/http-server.ts";

let world: ApiWorld;
beforeAll(async () => {
  world = await openApiWorld();
});
afterAll(() => world.close());

async function eventsOf(id: string) {
  const { events } = readAs(AuditEventPage, await world.admin(`/v1/admin/users/${id}/events`));
  return events.map(({ action, actor, via, outcome }) => ({
    action,
    actor,
    via,
    outcome,
  }));
}

test("a user is shown with directory facts, policy, authenticator and lockouts", async () => {
  const user = await world.addEnrolledUser();
  const answer = await world.admin(`/v1/admin/users/${user.id}`);
  expect(answer.status).toBe(200);
  expect(answer.json).toEqual({
    id: user.id,
    username: user.username,
    displayName: null,
    email: null,
    directory: "main",
    groups: [],
    state: "active",
    directoryId: expect.any(String),
    dn: expect.any(String),
    createdAt: expect.stringMatching(/Z$/),
    changedAt: expect.stringMatching(/Z$/),
    removedAt: null,
    policy: {
      required: false,
      requiredBy: [],
      requiredNewUser: false,
      requiredByAdmin: null,
      requiredSince: null,
      enrollmentDeadline: null,
    },
    authenticator: {
      enrolled: true,
      enrolledAt: expect.stringMatching(/Z$/),
      pendingUntil: null,
      passUntil: null,
      backupCodesRemaining: world.deps.mfa.backupCodes.count,
    },
    lockouts: [
      { method: "totp", failures: 0, lockedUntil: null },
      { method: "backup-code", failures: 0, lockedUntil: null },
      { method: "enrollment-pass", failures: 0, lockedUntil: null },
    ],
    signIn: {
      possible: true,
      explanation: "With the password and a code from the app, or a backup code.",
    },
  });
});

test("why a user cannot sign in is told in a sentence", async () => {
  const { id } = await world.addUser({ state: "disabled" });
  expect(readAs(UserDetail, await world.admin(`/v1/admin/users/${id}`)).signIn).toEqual({
    possible: false,
    explanation: "The directory has disabled this user; it must be enabled there.",
  });
});

test("an admin requires MFA of a user and takes it back, and both are audited with the person", async () => {
  const { id, username } = await world.addUser();
  const path = `/v1/admin/users/${id}/mfa-required`;
  const required = await world.admin(path, { method: "PUT", body: { required: true }, actor: "jane" });
  expect(required.status).toBe(200);
  expect(readAs(UserDetail, required).policy).toMatchObject({
    required: true,
    requiredBy: ["required-by-admin"],
  });
  expect((await world.login("/v1/sign-in", { username })).json).toMatchObject({
    decision: "enroll",
    reasons: ["required-by-admin"],
  });
  await world.admin(path, { method: "PUT", body: { required: false } });
  expect((await world.login("/v1/sign-in", { username })).json).toMatchObject({ decision: "allow" });
  expect(await eventsOf(id)).toEqual([
    { action: "mfa-require", actor: "jane (caller:help-desk)", via: "api", outcome: "done" },
    { action: "mfa-unrequire", actor: "caller:help-desk", via: "api", outcome: "done" },
  ]);
});

test("a row of the list has what the single user has: why MFA is required, until when it may wait, and whether there is an authenticator", async () => {
  const { id, username } = await world.addEnrolledUser();
  await world.admin(`/v1/admin/users/${id}/mfa-required`, { method: "PUT", body: { required: true } });
  const { policy, state } = readAs(UserDetail, await world.admin(`/v1/admin/users/${id}`));
  const { required, requiredBy, enrollmentDeadline } = policy;
  expect({ required, requiredBy }).toEqual({ required: true, requiredBy: ["required-by-admin"] });
  expect(enrollmentDeadline).toMatch(/Z$/);
  const { users } = readAs(UserPage, await world.admin(`/v1/admin/users?search=${username}`));
  expect(users).toMatchObject([{ id, state, required, requiredBy, enrollmentDeadline, enrolled: true }]);
});

test("an admin disables MFA without a code, and a required user has to enroll again", async () => {
  const { id, username } = await world.addEnrolledUser();
  await world.admin(`/v1/admin/users/${id}/mfa-required`, { method: "PUT", body: { required: true } });
  const disabled = await world.admin(`/v1/admin/users/${id}/disable-mfa`, { method: "POST", actor: "jane" });
  expect(disabled.status).toBe(200);
  expect(readAs(DisabledMfa, disabled).authenticator).toMatchObject({
    enrolled: false,
    backupCodesRemaining: 0,
  });
  expect((await world.login("/v1/sign-in", { username })).json).toMatchObject({ decision: "enroll" });
  expect(await eventsOf(id)).toContainEqual(
    expect.objectContaining({ action: "mfa-disable", actor: "jane (caller:help-desk)" }),
  );
  const again = await world.admin(`/v1/admin/users/${id}/disable-mfa`, { method: "POST" });
  expect(again.status).toBe(409);
  expect(again.json).toMatchObject({ code: "not-enrolled" });
});

test("the help desk issues a pass, a user enrolls with it, and the events name both", async () => {
  const { url } = await world.startServer(await world.replica({ enrollmentPass: "required" }));
  onTestFinished(async () => void (await world.replica()));
  const { id, username } = await world.addUser();
  const ask = (path: string, token: string, body?: object) =>
    call(`${url}${path}`, {
      token,
      method: "POST",
      ...(body ? { body } : {}),
      headers: { "x-actor": "sam" },
    });
  const refused = await ask("/v1/enrollment", tokens.login, { username });
  expect(refused.status).toBe(403);
  expect(refused.json).toMatchObject({ code: "enrollment-pass-required" });

  const path = `/v1/admin/users/${id}/enrollment-pass`;
  expect((await ask(path, tokens["help-desk"], { identified: "by voice" })).status).toBe(400);
  const issued = await ask(path, tokens["help-desk"], { identified: "called-back" });
  expect(issued.status).toBe(201);
  const { enrollmentPass, expiresAt } = readAs(IssuedPass, issued);
  const shown = readAs(UserDetail, await world.admin(`/v1/admin/users/${id}`));
  expect(shown.authenticator).toMatchObject({ enrolled: false, passUntil: expiresAt });

  const both = await ask("/v1/enrollment", tokens.login, { username, enrollmentPass, totp: "000000" });
  expect(both.status).toBe(400);
  expect(both.json).toMatchObject({
    detail: 'The body must have one at most of "totp" and "enrollmentPass" and "backupCode".',
  });
  expect((await ask("/v1/enrollment", tokens.login, { username, enrollmentPass })).status).toBe(201);
  expect((await ask("/v1/enrollment", tokens.login, { username, enrollmentPass })).json).toMatchObject({
    code: "code-rejected",
  });
  const { events } = readAs(AuditEventPage, await world.admin(`/v1/admin/users/${id}/events?limit=1`));
  expect(events[0]?.details).toEqual({ expiresAt, identified: "called-back" });
  expect((await eventsOf(id)).slice(0, 3)).toEqual([
    { action: "enrollment-pass-issue", actor: "sam (caller:service-desk)", via: "api", outcome: "done" },
    { action: "verification", actor: "caller:login-service", via: "api", outcome: "accepted" },
    { action: "enrollment-begin", actor: "caller:login-service", via: "api", outcome: "done" },
  ]);
  expect(world.logged.join()).not.toContain(enrollmentPass);
});

test("no pass is issued to a user who is enrolled, removed or unknown; a reset can issue one", async () => {
  const enrolled = await world.addEnrolledUser();
  const removed = await world.addUser({ state: "removed" });
  const post = (id: string, act: string, body?: object) =>
    world.admin(`/v1/admin/users/${id}/${act}`, { method: "POST", body });
  expect((await post(enrolled.id, "enrollment-pass")).json).toMatchObject({ code: "already-enrolled" });
  expect((await post(removed.id, "enrollment-pass")).json).toMatchObject({
    code: "user-not-active",
    state: "removed",
  });
  expect((await post(randomUUID(), "enrollment-pass")).json).toMatchObject({ code: "user-unknown" });
  const reset = await post(enrolled.id, "disable-mfa", { issuePass: true, keepGrace: true });
  const { issued } = readAs(DisabledMfa, reset);
  const { username } = enrolled;
  const begun = await world.login("/v1/enrollment", { username, enrollmentPass: issued?.enrollmentPass });
  expect(begun.status).toBe(201);
});

const count = Math.random().toString(36).slice(2);

test("users come as CSV when it is asked for, all of them, and no display name is a formula", async () => {
  const { db } = world.database;
  const marked = `csv-${count}`;
  const names = Array.from({ length: 1203 }, (_, index) => `${marked}-${String(index).padStart(5, "0")}`);
  for (const username of names.slice(0, 3)) await world.addUser({ username });
  await db.raw(
    `insert into users (id, directory, directory_id, username, username_key, display_name, dn, dn_key, entry_hash,
       required_new_user, state)
     select gen_random_uuid(), 'main', n, n, n, '=cmd|'' /C calc''!A0', n, n, '-', false, 'active' from unnest(?::text[]) as n`,
    [names.slice(3)],
  );
  const ask = (query: string, accept: string) =>
    call(`${world.url}/v1/admin/users?${query}`, { token: tokens.audit, headers: { accept } });
  const csv = await ask(`search=${marked}`, "text/csv");
  expect(csv.headers.get("content-type")).toContain("text/csv");
  expect(csv.headers.get("content-disposition")).toBe('attachment; filename="users.csv"');
  const lines = csv.text.split("\r\n");
  expect(lines).toHaveLength(1 + names.length + 1);
  expect(lines[0]).toMatch(/^id,directory,username,/);
  expect(lines.slice(1, -1).map((line) => line.split(",")[2])).toEqual(names);
  expect(lines[5]).toContain(",'=cmd|");
  expect((await ask(`search=${marked}&limit=5`, "text/csv")).json).toMatchObject({ code: "invalid-request" });
  for (const accept of ["*/*", "application/json, text/csv;q=0.5", "text/html", "text/csv;q=0"]) {
    expect((await ask(`search=${marked}&limit=5`, accept)).json).toMatchObject({ users: expect.any(Array) });
  }
  await db("users").where("username", "like", `${marked}%`).delete();
});

test("counts tell who has to enroll, and take the conditions of the list", async () => {
  const search = `counts-${count}`;
  const [, late, early] = [
    await world.addEnrolledUser(`${search}-a`),
    await world.addUser({ username: `${search}-b` }),
    await world.addUser({ username: `${search}-c` }),
    await world.addUser({ username: `${search}-d`, state: "removed" }),
  ];
  const { db } = world.database;
  const required = (id: string, deadline: string) =>
    db("users").where({ id }).update({ required_since: "2026-01-01", enrollment_deadline: deadline });
  await required(late.id, "2026-01-02");
  await required(early.id, "2100-01-01");
  expect((await world.admin(`/v1/admin/users/counts?search=${search}`)).json).toEqual({
    users: 4,
    states: { active: 3, disabled: 0, removed: 1 },
    active: { required: 2, enrolled: 1, mayDefer: 1, mustEnroll: 1, locked: 0 },
  });
  const before = await world.admin(
    `/v1/admin/users?search=${search}&enrolled=false&deadlineBefore=2027-01-01`,
  );
  expect(readAs(UserPage, before).users.map(({ id }) => id)).toEqual([late.id]);
  const nonsense = await world.admin("/v1/admin/users?deadlineBefore=2026-02-31T99:00Z");
  expect(nonsense.json).toMatchObject({ code: "invalid-request", field: "deadlineBefore" });
});

test("MFA is required of all who fit a filter, with an event each, or of nobody", async () => {
  const search = `many-${count}`;
  const users = [];
  for (const letter of ["a", "b", "c"]) users.push(await world.addUser({ username: `${search}-${letter}` }));
  const removed = await world.addUser({ username: `${search}-d`, state: "removed" });
  const post = (body: unknown) => world.admin("/v1/admin/users/mfa-required", { body, actor: "jane" });
  expect((await post({ filter: {}, required: true })).status).toBe(400);
  const tooMany = await post({ filter: { search }, required: true, atMost: 2 });
  expect([tooMany.status, tooMany.json]).toMatchObject([409, { code: "too-many-users" }]);
  expect(await eventsOf(users[0]?.id ?? "")).toEqual([]);

  const both = await Promise.all([1, 2].map(() => post({ filter: { search }, required: true, atMost: 3 })));
  const changed = both.map(({ json }) => (json as { changed: number }).changed);
  expect(changed.toSorted()).toEqual([0, 3]);
  for (const { id } of users) {
    expect(await eventsOf(id)).toEqual([
      { action: "mfa-require", actor: "jane (caller:help-desk)", via: "api", outcome: "done" },
    ]);
    expect(readAs(UserDetail, await world.admin(`/v1/admin/users/${id}`)).policy).toMatchObject({
      requiredBy: ["required-by-admin"],
      requiredSince: expect.any(String),
    });
  }
  expect(await eventsOf(removed.id)).toEqual([]);
  expect((await post({ filter: { search }, required: false })).json).toEqual({ matched: 3, changed: 3 });
});

test("lockouts of all who fit a filter end, with an event for each who had one", async () => {
  const search = `unlock-${count}`;
  const locked = await world.addEnrolledUser(`${search}-a`);
  const calm = await world.addEnrolledUser(`${search}-b`);
  const totp = world.wrongCodeOf(locked);
  for (let i = 0; i < 6; i++) await world.login("/v1/verify", { username: locked.username, totp });
  expect((await world.admin(`/v1/admin/users?locked=true&search=${search}`)).json).toMatchObject({
    users: [{ id: locked.id, locked: true }],
  });
  const answer = await world.admin("/v1/admin/users/unlock", { body: { filter: { search } }, actor: "jane" });
  expect(answer.json).toEqual({ matched: 2, changed: 1 });
  expect((await eventsOf(locked.id)).at(-1)).toMatchObject({
    action: "unlock",
    actor: "jane (caller:help-desk)",
  });
  expect((await eventsOf(calm.id)).map(({ action }) => action)).not.toContain("unlock");
  expect((await world.login("/v1/sign-in", { username: locked.username })).json).toMatchObject({
    decision: "challenge",
    lockedUntil: null,
  });
});

test("notices are listed without addresses, and a dead one is tried again", async () => {
  const { db } = world.database;
  const facts = { runId: "r-1" };
  const dead = { kind: "run-held", channel: "webhook", directory: "main", facts, state: "dead" };
  const [{ id }] = await db("notices")
    .insert({ ...dead, ended_at: new Date(), last_error: "webhook: status 500" })
    .returning("id");
  const listed = await world.admin("/v1/admin/notices?state=dead");
  expect(listed.json).toMatchObject({
    notices: [
      { id, kind: "run-held", user: null, facts, lastError: "webhook: status 500", nextAttemptAt: null },
    ],
  });
  expect(listed.text).not.toContain("address");
  expect((await world.admin(`/v1/admin/notices/${id}/retry`, { method: "POST" })).status).toBe(204);
  expect((await world.admin(`/v1/admin/notices/${id}/retry`, { method: "POST" })).json).toMatchObject({
    code: "not-found",
  });
  await db("notices").update({ state: "dead", ended_at: new Date() });
  const all = await world.admin("/v1/admin/notices/retry", { method: "POST", actor: "jane" });
  expect(all.json).toEqual({ retried: 1 });
  expect((await world.admin("/v1/admin/notices/retry", { method: "POST" })).json).toEqual({ retried: 0 });
  const path = "/v1/admin/audit-events?action=notice-retry";
  expect(readAs(AuditEventPage, await world.admin(path)).events).toMatchObject([
    { actor: "caller:help-desk", details: { notices: 1, noticeId: id } },
    { actor: "jane (caller:help-desk)", details: { notices: 1 } },
  ]);
  await db("notices").delete();
});

test("an admin ends a lockout", async () => {
  const { id, username, secret } = await world.addEnrolledUser();
  const totp = world.wrongCodeOf({ secret });
  for (let i = 0; i < 6; i++) await world.login("/v1/verify", { username, totp });
  const locked = readAs(UserDetail, await world.admin(`/v1/admin/users/${id}`));
  expect(locked.lockouts).toContainEqual(
    expect.objectContaining({ method: "totp", lockedUntil: expect.stringMatching(/Z$/) }),
  );
  const unlocked = await world.admin(`/v1/admin/users/${id}/unlock`, { method: "POST", body: {} });
  expect(unlocked.status).toBe(200);
  expect(readAs(UserDetail, unlocked).lockouts).toContainEqual({
    method: "totp",
    failures: 0,
    lockedUntil: null,
  });
});

test("users come in pages that together are all of them, once each", async () => {
  const marker = randomUUID();
  for (let i = 0; i < 7; i++) await world.addUser({ username: `${marker}-${i}`, directory: "paged" });
  const seen: string[] = [];
  let cursor: string | null = null;
  let pages = 0;
  do {
    const query: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = readAs(
      UserPage,
      await world.admin(`/v1/admin/users?search=${marker.toUpperCase()}&limit=3${query}`),
    );
    seen.push(...page.users.map(({ username }) => username));
    cursor = page.nextCursor;
    pages++;
  } while (cursor !== null && pages < 10);
  expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6].map((i) => `${marker}-${i}`));
  expect(pages).toBe(3);
});

test("users are found by state, directory, requirement and enrollment", async () => {
  const directory = `d-${randomUUID()}`;
  const disabled = await world.addUser({ directory, state: "disabled" });
  const required = await world.addUser({ directory });
  await world.admin(`/v1/admin/users/${required.id}/mfa-required`, {
    method: "PUT",
    body: { required: true },
  });
  const idsOf = async (query: string) =>
    readAs(UserPage, await world.admin(`/v1/admin/users?directory=${directory}&${query}`)).users.map(
      ({ id }) => id,
    );
  expect(await idsOf("state=disabled")).toEqual([disabled.id]);
  expect(await idsOf("required=true")).toEqual([required.id]);
  expect(await idsOf("required=false")).toEqual([disabled.id]);
  expect(await idsOf("enrolled=true")).toEqual([]);
  expect(await idsOf("enrolled=false")).toHaveLength(2);
});

test("users are found by a group, by its name or its DN in any case", async () => {
  const { db } = world.database;
  const [inside, outside] = [await world.addUser(), await world.addUser()];
  const name = `Staff ${randomUUID()}`;
  const dn = `cn=${name},ou=groups,dc=example,dc=org`;
  const [group] = await db("groups")
    .insert({
      directory: "main",
      directory_id: randomUUID(),
      name,
      name_key: name.toLowerCase(),
      dn,
      dn_key: dn.toLowerCase(),
      entry_hash: "-",
    })
    .returning("id");
  await db("user_groups").insert({ user_id: inside.id, group_id: group.id });
  for (const asked of [name, name.toUpperCase(), dn.toUpperCase()]) {
    const answer = await world.admin(`/v1/admin/users?group=${encodeURIComponent(asked)}`);
    expect(readAs(UserPage, answer).users.map(({ id }) => id)).toEqual([inside.id]);
  }
  for (const asked of ["Staff", "cn=nobody", "'"])
    expect((await world.admin(`/v1/admin/users?group=${asked}`)).json).toMatchObject({ users: [] });
  const filter = { group: name };
  const required = await world.admin("/v1/admin/users/mfa-required", { body: { filter, required: true } });
  expect(required.json).toEqual({ matched: 1, changed: 1 });
  expect(readAs(UserDetail, await world.admin(`/v1/admin/users/${outside.id}`)).policy.required).toBe(false);
});

const cursorOf = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

test.each([
  "limit=0",
  "limit=1e400",
  "limit=501",
  "limit=x",
  "limit=",
  "limit=1&limit=2",
  "state=gone",
  "required=maybe",
  "unknown=1",
  "search=",
  "search=%00",
  "search=a&search=b",
  "cursor=x",
  "cursor=%00",
  `cursor=${cursorOf(["a"])}`,
  `cursor=${cursorOf({ 0: "a", 1: "b", length: 2 })}`,
  `cursor=${cursorOf(["a", "not-a-uuid"])}`,
  `cursor=${cursorOf(["a\u0000", randomUUID()])}`,
  `cursor=${cursorOf([{ toString: 1 }, randomUUID()])}`,
])("the query ?%s is an invalid request", async (query) => {
  const answer = await world.admin(`/v1/admin/users?${query}`);
  expect(answer.status).toBe(400);
  expect(answer.json).toMatchObject({ code: "invalid-request" });
});

test("a user or run that does not exist is 404 in every call, and an id of another form 400", async () => {
  const id = randomUUID();
  const calls = [
    ["GET", "/v1/admin/users/ID", "user-unknown"],
    ["PUT", "/v1/admin/users/ID/mfa-required", "user-unknown"],
    ["POST", "/v1/admin/users/ID/disable-mfa", "user-unknown"],
    ["POST", "/v1/admin/users/ID/unlock", "user-unknown"],
    ["GET", "/v1/admin/users/ID/events", "user-unknown"],
    ["GET", "/v1/admin/sync-runs/ID", "not-found"],
    ["GET", "/v1/admin/sync-runs/ID/changes", "not-found"],
    ["POST", "/v1/admin/sync-runs/ID/approve", "not-found"],
  ] as const;
  for (const [method, path, code] of calls) {
    const request = { method, ...(method === "PUT" ? { body: { required: true } } : {}) };
    const missing = await world.admin(path.replace("ID", id), request);
    expect([path, missing.status, missing.json]).toMatchObject([path, 404, { code }]);
    for (const bad of ["1", "x".repeat(36), `${id}0`, "%00", "..%2f.."]) {
      expect([400, 404]).toContain((await world.admin(path.replace("ID", bad), request)).status);
    }
  }
});

test("a call without a body refuses one with anything in it", async () => {
  const { id } = await world.addUser();
  expect((await world.admin(`/v1/admin/users/${id}/unlock`, { method: "POST" })).status).toBe(200);
  expect((await world.admin(`/v1/admin/users/${id}/unlock`, { body: { force: true } })).status).toBe(400);
  expect((await world.admin(`/v1/admin/users/${id}/unlock`, { body: [] })).status).toBe(400);
});

test("a bad X-Actor changes nothing", async () => {
  const { id } = await world.addUser();
  const answer = await world.admin(`/v1/admin/users/${id}/mfa-required`, {
    method: "PUT",
    body: { required: true },
    actor: "x".repeat(300),
  });
  expect(answer.status).toBe(400);
  expect(answer.json).toMatchObject({ code: "invalid-request", field: "X-Actor" });
  expect(readAs(UserDetail, await world.admin(`/v1/admin/users/${id}`)).policy).toMatchObject({
    requiredByAdmin: null,
  });
});

async function endOfRun(id: string): Promise<Static<typeof SyncRunDetail>> {
  for (let tries = 0; tries < 100; tries++) {
    const run = readAs(SyncRunDetail, await world.admin(`/v1/admin/sync-runs/${id}`));
    if (run.status !== "running") return run;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the run does not end");
}

test("a sync run is started, and its failure can be read", async () => {
  const started = await world.admin("/v1/admin/sync-runs", { body: { directory: "main" }, actor: "jane" });
  expect(started.status).toBe(202);
  expect(started.json).toMatchObject({
    directory: "main",
    status: "running",
    trigger: "request",
    dryRun: false,
    requestedBy: "jane (caller:help-desk)",
  });
  const run = await endOfRun(readAs(SyncRun, started).id);
  expect(run).toMatchObject({ status: "failed", error: { code: "directory-unreachable" }, skips: [] });
  const changes = await world.admin(`/v1/admin/sync-runs/${run.id}/changes`);
  expect(changes.json).toEqual({ changes: [], nextCursor: null });
});

test("an incremental run is asked for by one field, and says its kind (rule 25)", async () => {
  const body = { directory: "main", incremental: true };
  const started = readAs(SyncRun, await world.admin("/v1/admin/sync-runs", { body }));
  expect(started).toMatchObject({ kind: "incremental", dryRun: false });
  // Nothing was ever imported, so that it becomes a full one.
  expect(await endOfRun(started.id)).toMatchObject({
    kind: "full",
    error: { code: "directory-unreachable" },
  });
});

test("a run of a directory that is not configured is directory-unknown", async () => {
  const answer = await world.admin("/v1/admin/sync-runs", { body: { directory: "elsewhere" } });
  expect(answer.status).toBe(404);
  expect(answer.json).toMatchObject({ code: "directory-unknown" });
});

test("runs come newest first, in pages", async () => {
  for (let i = 0; i < 3; i++) {
    await endOfRun(
      readAs(SyncRun, await world.admin("/v1/admin/sync-runs", { body: { directory: "main" } })).id,
    );
  }
  const first = readAs(
    SyncRunPage,
    await world.admin("/v1/admin/sync-runs?directory=main&status=failed&limit=2"),
  );
  const second = readAs(
    SyncRunPage,
    await world.admin(`/v1/admin/sync-runs?directory=main&status=failed&limit=2&cursor=${first.nextCursor}`),
  );
  const ids = [...first.runs, ...second.runs].map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  const times = first.runs.map(({ startedAt }) => startedAt);
  expect(times).toEqual(times.toSorted().reverse());
});

test("a run that is not held cannot be approved", async () => {
  const run = await endOfRun(
    readAs(SyncRun, await world.admin("/v1/admin/sync-runs", { body: { directory: "main" } })).id,
  );
  const answer = await world.admin(`/v1/admin/sync-runs/${run.id}/approve`, { method: "POST" });
  expect(answer.status).toBe(409);
  expect(answer.json).toMatchObject({ code: "run-not-held" });
});

test("a held run is approved by one of many at once, who is answered with the run that carries it out; one that fails leaves it held", async () => {
  const held = await addHeldRun("main");
  const approvals = await Promise.all(
    [1, 2, 3].map(() =>
      world.admin(`/v1/admin/sync-runs/${held}/approve`, { method: "POST", actor: "jane" }),
    ),
  );
  const won = approvals.filter(({ status }) => status === 202).map((answer) => readAs(SyncRun, answer));
  const others = approvals.filter(({ status }) => status !== 202);
  expect(won).toEqual([expect.objectContaining({ approves: held, trigger: "approval" })]);
  for (const other of others)
    expect(other.json).toMatchObject({ code: expect.stringMatching(/^run-(not-held|in-progress)$/) });
  for (const { id } of won) await endOfRun(id);
  expect((await world.admin(`/v1/admin/sync-runs/${held}`)).json).toMatchObject({
    status: "held",
    approvedBy: null,
  });
});

async function addHeldRun(directory: string): Promise<string> {
  const [row] = await world.database
    .db("sync_runs")
    .insert({
      directory,
      kind: "full",
      trigger: "schedule",
      requested_by: "schedule",
      dry_run: false,
      status: "held",
      fencing_token: 1,
      finished_at: new Date(),
      hold_reasons: JSON.stringify([{ code: "too-many-removals", text: "Too many." }]),
    })
    .returning("id");
  return row.id;
}

test("a held run of a directory that has left the configuration is directory-unknown", async () => {
  const answer = await world.admin(`/v1/admin/sync-runs/${await addHeldRun("gone")}/approve`, {
    method: "POST",
  });
  expect(answer.status).toBe(404);
  expect(answer.json).toMatchObject({ code: "directory-unknown" });
});

test("a request while a run is going on is answered with that run", async () => {
  const silent = await startSilentServer();
  const { port } = silent.address() as { port: number };
  const busy = await openApiWorld({ directoryUrl: deadDirectoryUrl.replace(/:1$/, `:${port}`) });
  try {
    const first = await busy.admin("/v1/admin/sync-runs", { body: { directory: "main" } });
    expect(first.status).toBe(202);
    const second = await busy.admin("/v1/admin/sync-runs", { body: { directory: "main" } });
    expect(second.status).toBe(409);
    expect(second.json).toMatchObject({ code: "run-in-progress", runId: readAs(SyncRun, first).id });
  } finally {
    await busy.close();
    silent.close();
  }
});

/** A directory server that accepts connections and never says a word. */
function startSilentServer(): Promise<Server> {
  const server = createServer((socket) => void socket.on("error", () => {}));
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

test("audit events are read oldest first, in pages, by time, action and user", async () => {
  const { id } = await world.addEnrolledUser();
  const all = readAs(AuditEventPage, await world.admin(`/v1/admin/audit-events?user=${id}`)).events as {
    id: string;
    at: string;
  }[];
  expect(all.length).toBeGreaterThan(1);
  const page = readAs(AuditEventPage, await world.admin(`/v1/admin/audit-events?user=${id}&limit=1`));
  expect(page.events).toEqual(all.slice(0, 1));
  const next = readAs(
    AuditEventPage,
    await world.admin(`/v1/admin/audit-events?user=${id}&limit=1&cursor=${page.nextCursor}`),
  );
  expect(next.events).toEqual(all.slice(1, 2));
  const since = encodeURIComponent(new Date(Date.now() + 3_600_000).toISOString());
  expect(readAs(AuditEventPage, await world.admin(`/v1/admin/audit-events?since=${since}`)).events).toEqual(
    [],
  );
  const begun = readAs(
    AuditEventPage,
    await world.admin(`/v1/admin/audit-events?user=${id}&action=enrollment-begin`),
  );
  expect(begun.events).toHaveLength(1);
});

test("audit events are read newest first too, in pages that together are all of them", async () => {
  const { id } = await world.addEnrolledUser();
  const oldestFirst = readAs(AuditEventPage, await world.admin(`/v1/admin/users/${id}/events`)).events;
  const seen: unknown[] = [];
  let cursor: string | null = null;
  do {
    const from: string = cursor === null ? "" : `&cursor=${cursor}`;
    const path: string = `/v1/admin/audit-events?user=${id}&order=newest&limit=1${from}`;
    const page = readAs(AuditEventPage, await world.admin(path));
    seen.push(...page.events);
    cursor = page.nextCursor;
  } while (cursor !== null && seen.length < 10);
  expect(seen).toEqual(oldestFirst.toReversed());
});

test("audit events come as CSV when it is asked for, all of them that fit, and no actor is a formula", async () => {
  const { id } = await world.addUser();
  for (const required of [true, false])
    await world.admin(`/v1/admin/users/${id}/mfa-required`, {
      method: "PUT",
      body: { required },
      actor: "=1+1",
    });
  const csv = (query: string) =>
    call(`${world.url}/v1/admin/audit-events?${query}`, {
      token: tokens.audit,
      headers: { accept: "text/csv" },
    });
  const answer = await csv(`user=${id}`);
  expect(answer.headers.get("content-type")).toBe("text/csv; charset=utf-8; header=present");
  const [header, ...records] = answer.text.trimEnd().split("\r\n");
  expect(header).toBe("id,at,actor,via,action,userId,directory,outcome,details,requestId");
  expect(records.map((record) => record.split(",").slice(2, 6))).toEqual([
    ["'=1+1 (caller:help-desk)", "api", "mfa-require", id],
    ["'=1+1 (caller:help-desk)", "api", "mfa-unrequire", id],
  ]);
  for (const page of ["limit=1", "order=newest", "cursor=x"]) expect((await csv(page)).status).toBe(400);
});

test.each([
  "order=up",
  "since=yesterday",
  "since=2026-02-31T99:00:00Z",
  "user=1",
  "action=",
  "action=%0a",
  "cursor=MQ",
  "limit=9999",
])("audit events with %s are an invalid request", async (query) => {
  expect((await world.admin(`/v1/admin/audit-events?${query}`)).status).toBe(400);
});

test("nothing that an admin can read holds a secret", async () => {
  const { id, secret, backupCodes } = await world.addEnrolledUser();
  const texts = await Promise.all(
    [
      `/v1/admin/users/${id}`,
      `/v1/admin/users/${id}/events`,
      "/v1/admin/users",
      "/v1/admin/audit-events?limit=500",
    ].map(async (path) => (await world.admin(path)).text),
  );
  for (const secretText of [...backupCodes, secret.toString("hex"), secret.toString("base64")]) {
    expect(texts.join("")).not.toContain(secretText);
  }
});
