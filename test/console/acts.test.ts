// Rule 30: every act in the console is the API's act, with the same audit event, in the name of the person.

import { afterAll, beforeAll, expect, test } from "vitest";
import { findRun } from "../../src/sync/sync-runs-table.ts";
import { deletions, people } from "../support/sync-world.ts";
import { secretOf } from "../verification/verification-world.ts";
import { type ConsoleWorld, codeOf, openConsoleWorld, type Visitor } from "./console-world.ts";

let world: ConsoleWorld;
let alice: Visitor;
let helen: Visitor;
let arthur: Visitor;
beforeAll(async () => {
  world = await openConsoleWorld({ ldif: people(30) });
  alice = await world.signIn("alice");
  helen = await world.signIn("helen");
  arthur = await world.signIn("arthur");
});
afterAll(() => world?.close());

async function lastEvent() {
  const { db } = world.database;
  return db("audit_events").orderBy("id", "desc").first("actor", "via", "action", "outcome", "details");
}

test("an admin's acts are audit events in the admin's name, through the console", async () => {
  await world.signIn("bob");
  const path = `/users/${await world.idOf("bob")}`;
  const by = { actor: "alice (main)", via: "console" };
  await alice.get(path);
  await alice.post(`${path}/mfa-required`, { required: "true" });
  expect(await lastEvent()).toMatchObject({ ...by, action: "mfa-require", outcome: "done" });
  await alice.post(`${path}/mfa-required`, { required: "false" });
  expect(await lastEvent()).toMatchObject({ ...by, action: "mfa-unrequire", outcome: "done" });
  await alice.post(`${path}/unlock`);
  expect(await lastEvent()).toMatchObject({ ...by, action: "unlock", outcome: "done" });
  const answer = await alice.post(`${path}/disable-mfa`, {
    sure: "yes",
    issuePass: "yes",
    identified: "vouched",
  });
  expect(answer.text).toMatch(/class="pass">[0-9A-Z-]{19}</);
  expect(await lastEvent()).toMatchObject({ ...by, action: "enrollment-pass-issue" });
  // The same form once more does nothing: there is nothing left to end.
  expect((await alice.post(`${path}/disable-mfa`, { sure: "yes" })).status).toBe(409);
});

test("an admin sees what was given up and why, has it tried again, and nobody else may", async () => {
  const { db } = world.database;
  const dead = { kind: "run-held", channel: "webhook", directory: "main", state: "dead" };
  const [{ id }] = await db("notices")
    .insert({ ...dead, ended_at: new Date(), last_error: "webhook: status 500" })
    .returning("id");
  const seen = await arthur.get("/notices");
  expect(seen.text).toContain("webhook: status 500");
  expect(seen.text).not.toContain("Try again");
  expect((await arthur.post(`/notices/${id}/retry`)).status).toBe(403);
  expect((await helen.get("/notices")).status).toBe(403);
  expect((await alice.get("/notices")).text).toContain("Try again");
  expect((await alice.post(`/notices/${id}/retry`)).location).toBe("/notices?state=waiting&done=retried");
  expect(await lastEvent()).toMatchObject({
    actor: "alice (main)",
    via: "console",
    action: "notice-retry",
    details: { notices: 1, noticeId: id },
  });
  expect((await alice.post(`/notices/${id}/retry`)).status).toBe(409);
  expect((await alice.post("/notices/retry")).status).toBe(409);
  expect(await db("notices").where({ id }).first("state")).toEqual({ state: "waiting" });
  await db("notices").delete();
});

test("acts that nobody ticked are not done", async () => {
  const path = `/users/${await world.idOf("carol")}`;
  for (const [act, fields] of [
    ["disable-mfa", {}],
    ["disable-mfa", { sure: "no" }],
    ["mfa-required", {}],
    ["mfa-required", { required: "maybe" }],
    ["enrollment-pass", {}],
    ["enrollment-pass", { identified: "they said so" }],
  ] as const) {
    const before = await lastEvent();
    expect([act, (await alice.post(`${path}/${act}`, fields)).status]).toEqual([act, 400]);
    expect(await lastEvent()).toEqual(before);
  }
});

test("the help desk hands out a pass for a user without a device, says how it knew them, and the pass enrolls", async () => {
  await world.reload({}, { enrollmentPass: "required" });
  const path = `/users/${await world.idOf("carol")}`;
  await helen.get(path);
  const page = await helen.post(`${path}/enrollment-pass`, { identified: "in-person" });
  const pass = /class="pass">([^<]+)</.exec(page.text)?.[1] ?? "";
  expect(await lastEvent()).toMatchObject({
    actor: "helen (main)",
    action: "enrollment-pass-issue",
    details: { identified: "in-person" },
  });
  const carol = world.visitor();
  await carol.get("/sign-in");
  await carol.post("/sign-in", { username: "carol", password: "password of carol" });
  await carol.get("/settings");
  const begun = await carol.post("/settings/enrollment", { pass });
  expect(begun.text).toContain("Open it in the app");
  expect((await carol.post("/settings/enrollment", { pass })).status).toBe(403);
  await world.reload({});
});

test("a wrong code at the confirmation shows the same secret again, and a right one then confirms it", async () => {
  const alan = world.visitor();
  await alan.get("/sign-in");
  await alan.post("/sign-in", { username: "alan", password: "password of alan" });
  await alan.get("/settings");
  const secretIn = (text: string) => /name="secret" value="([A-Z2-7]+)"/.exec(text)?.[1];
  const begun = await alan.post("/settings/enrollment");
  const secret = secretIn(begun.text) ?? "";
  const again = await alan.post("/settings/enrollment/confirm", { code: "000000", secret });
  expect([again.status, secretIn(again.text)]).toEqual([403, secret]);
  // What a page sends along is shown to whoever sent it, and confirms nothing.
  const forged = await alan.post("/settings/enrollment/confirm", { code: "000000", secret: "<script>" });
  expect(forged.text).not.toContain("<script>");
});

test("a confirmation that is sent twice registers one device, and says what to do where its codes were not seen", async () => {
  const erin = world.visitor();
  await erin.get("/sign-in");
  await erin.post("/sign-in", { username: "erin", password: "password of erin" });
  await erin.get("/settings");
  const begun = await erin.post("/settings/enrollment");
  world.secrets.set("erin", secretOf(/name="secret" value="([A-Z2-7]+)"/.exec(begun.text)?.[1] ?? ""));
  const code = codeOf(world, "erin");
  const asBefore = { cookie: erin.cookie, formToken: erin.formToken };
  const twice = Object.assign(world.visitor(), asBefore);
  const answers = await Promise.all(
    [erin, twice].map((one) => one.post("/settings/enrollment/confirm", { code })),
  );
  const [won, lost] = answers.toSorted((a, b) => a.status - b.status);
  expect([won?.status, won?.text]).toEqual([200, expect.stringContaining("Your backup codes")]);
  expect(lost?.status).toBeGreaterThanOrEqual(400);
  expect(lost?.text).not.toContain('class="codes"');
  const { rows } = await world.database.db.raw(
    "select count(*)::int as count from authenticators where user_id = ? and state = 'active'",
    [await world.idOf("erin")],
  );
  expect(rows).toEqual([{ count: 1 }]);
  // And once more, when all of it is over.
  const late = Object.assign(world.visitor(), asBefore);
  const again = await late.post("/settings/enrollment/confirm", { code });
  expect([again.status, again.text]).toEqual([403, expect.stringContaining("press the button twice")]);
});

test("a held run shows why and whom, and an admin approves it", async () => {
  const gone = Array.from({ length: 30 }, (_, n) => `user${String(n).padStart(4, "0")}`);
  await world.slapd.modify(deletions(gone));
  await expect(world.sync()).rejects.toThrow("held");
  expect((await arthur.get("/directories")).text).toContain("A run of main is held.");
  const { id } = await world.database.db("sync_runs").where({ status: "held" }).first("id");
  await alice.get("/directories/main");
  const dry = (await alice.post("/directories/main/dry-run")).location?.split(/[/?]/)[2] ?? "";
  await expect
    .poll(async () => (await findRun(world.database.db, dry))?.status, { timeout: 30_000 })
    .not.toBe("running");
  // A later run that decides nothing hides nothing.
  expect((await arthur.get("/directories")).text).toContain(
    `A run of main is held.</strong> It changed nothing. <a href="/runs/${id}">`,
  );
  const page = await arthur.get(`/runs/${id}?search=user0007`);
  expect(page.text).toContain(">user0007</a>");
  expect(page.text).not.toContain(">user0008</a>");
  expect(page.text).not.toContain('<button class="danger">Approve');
  expect((await arthur.post(`/runs/${id}/approve`, { sure: "yes" })).status).toBe(403);
  await alice.get(`/runs/${id}`);
  expect((await alice.post(`/runs/${id}/approve`)).status).toBe(400);
  const approved = await alice.post(`/runs/${id}/approve`, { sure: "yes" });
  expect(approved.location).toMatch(/^\/runs\/.*done=approved$/);
  const started = approved.location?.split(/[/?]/)[2] ?? "";
  await expect
    .poll(async () => (await findRun(world.database.db, started))?.status, { timeout: 30_000 })
    .toBe("succeeded");
  expect(await findRun(world.database.db, id)).toMatchObject({ approvedBy: "alice (main)" });
  const late = await alice.post(`/runs/${id}/approve`, { sure: "yes" });
  expect([late.status, late.text]).toEqual([409, expect.stringContaining("waits for no approval any more")]);
});

test("an auditor exports who is missing, safely for a spreadsheet, and the audit", async () => {
  const id = await world.idOf("dave");
  await world.database.db("users").where({ id }).update({ display_name: "=1+1" });
  await alice.get(`/users/${id}`);
  for (const required of ["true", "false", "true"])
    await alice.post(`/users/${id}/mfa-required`, { required });
  const csv = await arthur.get("/enrollment/missing.csv");
  expect(csv.headers.get("content-disposition")).toBe('attachment; filename="not-enrolled.csv"');
  expect(csv.text).toContain(`${id},main,dave,'=1+1,`);
  const events = "/audit/events.jsonl?action=mfa-require&username=dave";
  const lines = (await arthur.get(events)).text.trim().split("\n");
  expect(lines.map((line) => JSON.parse(line).action)).toEqual(["mfa-require", "mfa-require"]);
  expect((await arthur.get("/audit/events.jsonl?username=nobody-of-that-name")).text).toBe("");
});

test("no page of the configuration has a secret, a hash of a token, or the path of a key", async () => {
  const { text } = await arthur.get("/configuration");
  const { bind } = world.directory;
  expect(text).toContain(bind?.dn);
  for (const secret of [bind?.passwordSecret ?? "", "/nowhere"]) expect(text).not.toContain(secret);
  expect(text).not.toMatch(/[0-9a-f]{64}/);
});

test("a code that signed in at the console is spent for the API too", async () => {
  const code = codeOf(world, "helen");
  const one = world.visitor();
  await one.get("/sign-in");
  await one.post("/sign-in", { username: "helen", password: "password of helen" });
  await one.get("/sign-in/code");
  expect((await one.post("/sign-in/code", { code })).location).toBe("/");
  expect((await world.verify({ username: "helen" }, code)).outcome).toBe("code-rejected");
});

test("of twenty equal codes at once one signs in", async () => {
  world.clock.step();
  const code = codeOf(world, "arthur");
  const visitors = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const one = world.visitor();
      await one.get("/sign-in");
      return one;
    }),
  );
  const [first] = visitors;
  await first?.post("/sign-in", { username: "arthur", password: "password of arthur" });
  await first?.get("/sign-in/code");
  const answers = await Promise.all(
    visitors.map((one) => {
      one.cookie = first?.cookie ?? "";
      one.formToken = first?.formToken ?? "";
      return one.post("/sign-in/code", { code });
    }),
  );
  expect(answers.filter(({ location }) => location === "/")).toHaveLength(1);
});
