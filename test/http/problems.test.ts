// What goes out when something goes wrong: the right status and code (rule 23), and nothing that should
// stay inside.

import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { AppError } from "../../src/errors.ts";
import { ProblemAnswer, problemKinds, problemOf } from "../../src/http/problems.ts";
import { Closed, Line } from "../../src/http/schemas.ts";
import { call, sendBytes, startListeners, type TestListeners } from "../support/http-server.ts";

const throwable: Record<string, () => unknown> = {
  "/error": () => new Error("hunter2 in the message", { cause: new Error("hunter2 below") }),
  "/text": () => "hunter2",
  "/nothing": () => undefined,
  "/status": () => Object.assign(new Error("hunter2"), { statusCode: 200 }),
  "/schema": () => new AppError("schema-too-old", "hunter2"),
  "/directory": () => new AppError("directory-unreachable", "hunter2"),
};

let listeners: TestListeners;
/** What each call of `/waiting` was told at its end. */
const aborted: boolean[] = [];
beforeAll(async () => {
  listeners = await startListeners({
    limits: { answerMs: 300 },
    addRoutes(app) {
      for (const [path, thrown] of Object.entries(throwable)) {
        app.get(path, { config: { scope: "open" } }, async () => {
          throw thrown();
        });
      }
      app.get("/slow", { config: { scope: "open" } }, () => new Promise(() => {}));
      app.get("/late", { config: { scope: "open" } }, async ({ query }) => {
        await new Promise((resolve) => setTimeout(resolve, 400));
        if (JSON.stringify(query).includes("throw")) throw new Error("too late");
        return { late: true };
      });
      app.post("/slow", { config: { scope: "open" } }, () => new Promise(() => {}));
      app.post("/waiting", { config: { scope: "open" } }, async ({ waiting }) => {
        await new Promise((resolve) => setTimeout(resolve, 100));
        aborted.push(waiting.aborted);
        return {};
      });
      app.post("/body", { config: { scope: "open" } }, async () => ({}));
      app.get("/away", { config: { scope: "open" } }, async () => {
        throw Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED", syscall: "connect" });
      });
      app.get(
        "/shapeless",
        { schema: { response: { 200: Closed({ name: Line(9) }) } }, config: { scope: "open" } },
        // What a wrong row or a wrong join would bring about.
        async () => JSON.parse('{"nome":"hunter2"}'),
      );
    },
  });
});
afterAll(() => listeners.server.close());

test.each(Object.keys(throwable))("whatever %s throws is a bare internal, and is logged", async (path) => {
  const answer = await call(`${listeners.url}${path}`, { headers: { "x-request-id": "known-request-id" } });
  expect(answer.status).toBe(500);
  expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
  expect(answer.json).toEqual({
    type: "urn:dirmfa:problem:internal",
    title: problemKinds.internal.title,
    status: 500,
    code: "internal",
    requestId: "known-request-id",
  });
  expect(
    listeners.lines.some((line) => line.includes("request failed") && line.includes("known-request-id")),
  ).toBe(true);
});

test("an answer that lacks a field of its schema is internal, not half an answer", async () => {
  const answer = await call(`${listeners.url}/shapeless`);
  expect(answer.status).toBe(500);
  expect(answer.text).not.toContain("hunter2");
});

test("a database that is away is unavailable, with the time to come back", async () => {
  const answer = await call(`${listeners.url}/away`);
  expect(answer.status).toBe(503);
  expect(answer.json).toMatchObject({ code: "unavailable" });
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
});

test.each([{}, { body: {} }])(
  "a route that does not come back is unavailable after the limit, sent with %j",
  async (request) => {
    const answer = await call(`${listeners.url}/slow`, request);
    expect(answer.status).toBe(503);
    expect(answer.json).toMatchObject({ code: "unavailable", detail: "No answer in time." });
  },
);

test("a route is told that its caller has gone, and not that one waits", async () => {
  expect((await call(`${listeners.url}/waiting`, { body: {} })).status).toBe(200);
  const head = "POST /waiting HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
  await sendBytes(listeners.url, `${head}content-length: 2\r\n\r\n{}`, 50);
  await vi.waitUntil(() => aborted.length === 2);
  expect(aborted).toEqual([false, true]);
});

test("a route that comes back after the limit, or throws then, disturbs nobody", async () => {
  const answers = await Promise.all(["/late", "/late?throw"].map((path) => call(`${listeners.url}${path}`)));
  expect(answers.map(({ status }) => status)).toEqual([503, 503]);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect((await call(`${listeners.url}/nowhere`)).status).toBe(404);
});

test("a caller that goes away in the middle of its body is its own fault, not the database's", async () => {
  const head = "POST /body HTTP/1.1\r\nhost: x\r\nx-request-id: went-away-0001\r\n";
  await sendBytes(
    listeners.url,
    `${head}content-type: application/json\r\ncontent-length: 99\r\n\r\n{"a":`,
    100,
  );
  await new Promise((resolve) => setTimeout(resolve, 100));
  const lines = listeners.lines.filter((line) => line.includes("went-away-0001"));
  expect(lines.filter((line) => /"level":"(warn|error)"/.test(line))).toEqual([]);
});

test("every problem has a status of 400 or more, so that a caller who looks at nothing else fails closed", () => {
  for (const { status } of Object.values(problemKinds)) expect(status).toBeGreaterThanOrEqual(400);
});

test("the codes and statuses of the specification stand as they are", () => {
  const wanted = {
    unauthorized: 401,
    forbidden: 403,
    "user-unknown": 404,
    "user-not-active": 403,
    "code-rejected": 403,
    "locked-out": 429,
    "not-enrolled": 409,
    "already-enrolled": 409,
    "enrollment-expired": 409,
    "mfa-required": 409,
    "username-ambiguous": 409,
    "invalid-request": 400,
    "run-in-progress": 409,
    "rate-limited": 429,
    unavailable: 503,
    internal: 500,
  };
  const statuses = Object.entries(problemKinds).map(([code, { status }]) => [code, status]);
  expect(Object.fromEntries(statuses)).toMatchObject(wanted);
});

test.each([
  [new ProblemAnswer({ code: "not-enrolled" }), "not-enrolled"],
  [new AppError("run-not-held", "No."), "run-not-held"],
  [new AppError("aborted", "Stopping."), "unavailable"],
  [new AppError("lease-lost", "Lost."), "unavailable"],
  [Object.assign(new Error("deadlock detected"), { code: "40P01" }), "unavailable"],
  [Object.assign(new Error("shutting down"), { code: "57P01" }), "unavailable"],
  [Object.assign(new Error("duplicate key"), { code: "23505" }), "internal"],
])("%s becomes %s", (error, code) => {
  expect(problemOf(error).code).toBe(code);
});
